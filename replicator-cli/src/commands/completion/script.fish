# Completion of glance-replicator for fish. `glance-replicator completion fish` prints this file.

function __glance_replicator_complete
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    command glance-replicator complete -- $words (commandline --current-token --cut-at-cursor) 2>/dev/null
end

complete --command glance-replicator --no-files --keep-order --arguments '(__glance_replicator_complete)'
