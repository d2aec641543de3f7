# Completion of PROGRAM for bash. In ~/.bashrc:  source <(PROGRAM completion bash)
_PROGRAM() {
	local word help
	COMPREPLY=()
	while IFS=$'\t' read -r word help; do
		COMPREPLY+=("$word")
	done < <("${COMP_WORDS[0]}" __complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
}
complete -o bashdefault -o default -F _PROGRAM PROGRAM
