# Completion of glance-replicator for bash. `glance-replicator completion bash` prints this file.

_glance_replicator() {
    local -a words=()
    local line=${COMP_LINE:0:COMP_POINT} word='' last='' value index
    COMPREPLY=()
    # Bash also splits words at = : and @. Parts without a space between them are one word.
    for ((index = 0; index <= COMP_CWORD; index++)); do
        word=${COMP_WORDS[index]}
        if ((index == 0)) || [[ $line == [[:space:]]* ]]; then
            words+=('')
        fi
        line=${line#"${line%%[![:space:]]*}"}
        if ((index == COMP_CWORD)); then
            word=$line
        fi
        line=${line#"$word"}
        words[${#words[@]} - 1]+=$word
    done
    last=${words[${#words[@]} - 1]}
    local quote=''
    case $last in
        [\'\"]*)
            quote=${last:0:1}
            last=${last:1}
            words[${#words[@]} - 1]=$last
            ;;
    esac
    # Bash replaces only what follows the last of its separators, and an @ itself.
    local separators=${COMP_WORDBREAKS//[!=:@]/} kept=''
    if [[ -n $separators && -z $quote ]]; then
        kept=${last%"${last##*["$separators"]}"}
        kept=${kept%@}
    fi
    while IFS= read -r value; do
        value=${value%%$'\t'*}
        value=${value#"$kept"}
        case $value in
            *[!A-Za-z0-9_./@:=,+~%-]*) [[ -n $quote ]] || printf -v value %q "$value" ;;
        esac
        COMPREPLY+=("$value")
    done < <(command glance-replicator complete -- "${words[@]}" 2>/dev/null)
    # More follows after these.
    if ((${#COMPREPLY[@]} == 1)) && [[ ${COMPREPLY[0]} == *[/=:] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}

complete -F _glance_replicator glance-replicator
