# Completion of PROGRAM for fish. In ~/.config/fish/config.fish:  PROGRAM completion fish | source
function __PROGRAM_candidates
	set -l words (commandline -opc)
	set -l current (commandline -ct)
	$words[1] __complete -- $words[2..] "$current" 2>/dev/null
end
function __PROGRAM_has_candidates
	count (__PROGRAM_candidates) >/dev/null
end
# Without candidates, the names of files are completed.
complete -c PROGRAM -f -n __PROGRAM_has_candidates -a '(__PROGRAM_candidates)'
