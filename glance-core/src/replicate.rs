//! Making one store hold what another holds, and proving it.
