#compdef PROGRAM
# Completion of PROGRAM for zsh. In ~/.zshrc, after compinit:  source <(PROGRAM completion zsh)
_PROGRAM() {
	local -a candidates
	local word help
	while IFS=$'\t' read -r word help; do
		candidates+=("${word//:/\\:}${help:+:$help}")
	done < <("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
	if (( $#candidates )); then
		_describe PROGRAM candidates
	else
		_files
	fi
}
# Read as a file of $fpath it is called for a completion; otherwise it registers itself.
if [[ $funcstack[1] == _PROGRAM ]]; then
	_PROGRAM "$@"
else
	compdef _PROGRAM PROGRAM
fi
