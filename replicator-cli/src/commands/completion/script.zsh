#compdef glance-replicator
# Completion of glance-replicator for zsh. `glance-replicator completion zsh` prints this file.

_glance_replicator() {
    local -a found=("${(@f)$(command glance-replicator complete -- \
        "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    # The shell keeps the tilde as it was typed.
    local tilde=''
    if compset -P '\~/'; then
        tilde='~/'
    fi
    local -a finished=() unfinished=()
    local entry value help
    for entry in $found; do
        value=${${entry%%$'\t'*}#$tilde}
        help=${${entry#*$'\t'}:#$entry}
        # `_describe` separates the value from its description by a colon.
        entry=${value//:/\\:}${help:+:$help}
        case $value in
            *[/=:]) unfinished+=("$entry") ;;
            *) finished+=("$entry") ;;
        esac
    done
    local result=1
    ((${#finished})) && _describe -V 'value' finished && result=0
    ((${#unfinished})) && _describe -V 'value' unfinished -S '' && result=0
    return result
}

# The file works as an autoloaded function, and with `source`.
if [[ $funcstack[1] == _glance-replicator || $funcstack[1] == _glance_replicator ]]; then
    _glance_replicator "$@"
else
    compdef _glance_replicator glance-replicator
fi
