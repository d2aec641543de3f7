// Package completion completes the command line of a kong application for bash, zsh and
// fish. A flag or an argument names its values in a tag completion: either the name of
// a source, or the values themselves.
package completion

import (
	_ "embed" // the shells' parts
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// A Candidate is a possible completion of a word, and its description.
type Candidate struct{ Text, Help string }

// A Source returns values that begin with a prefix; it may also return others.
type Source func(prefix string) []string

// Complete returns the possible completions of the last word. The words are those after
// the program's name; the last one may be empty.
func Complete(app *kong.Application, words []string, sources map[string]Source) []Candidate {
	if len(words) == 0 {
		words = []string{""}
	}
	last := len(words) - 1
	line := commandLine{node: app.Node, sources: sources}
	for _, word := range words[:last] {
		line.read(word)
	}
	var fitting []Candidate
	for _, c := range line.candidates(words[last]) {
		if strings.HasPrefix(c.Text, line.prefix(words[last])) {
			fitting = append(fitting, c)
		}
	}
	return fitting
}

// A commandLine is the state after the words that have been read.
type commandLine struct {
	sources map[string]Source
	node    *kong.Node
	// arguments is how many of the node's arguments have been read.
	arguments int
	// pending is the flag whose value is the next word.
	pending *kong.Flag
	// flagsOver is whether a "--" has been read.
	flagsOver bool
}

// read reads one word, which is complete.
func (l *commandLine) read(word string) {
	switch {
	case l.pending != nil:
		if word != "=" { // bash splits --flag=value into three words
			l.pending = nil
		}
	case !l.flagsOver && word == "--":
		l.flagsOver = true
	case !l.flagsOver && strings.HasPrefix(word, "--"):
		name, _, whole := strings.Cut(word, "=")
		if flag := l.flag(name); flag != nil && takesValue(flag) && !whole {
			l.pending = flag
		}
	case !l.flagsOver && strings.HasPrefix(word, "-") && len(word) > 1:
		// In a group of short flags, such as -ip, the first flag that takes a value
		// takes the rest of the word as its value.
		for i, short := range word[1:] {
			if flag := l.flag("-" + string(short)); flag != nil && takesValue(flag) {
				if i+2 == len(word) {
					l.pending = flag
				}
				break
			}
		}
	default:
		for _, child := range l.node.Children {
			if child.Name == word || slices.Contains(child.Aliases, word) {
				l.node, l.arguments = child, 0
				return
			}
		}
		l.arguments++
	}
}

// prefix returns the text that a candidate must begin with.
func (l *commandLine) prefix(word string) string {
	if l.pending != nil && word == "=" {
		return ""
	}
	return word
}

// candidates returns the possible completions of a word, including those that do not
// begin with it.
func (l *commandLine) candidates(word string) []Candidate {
	name, value, hasValue := strings.Cut(word, "=")
	switch {
	case l.pending != nil:
		return l.values(l.pending.Value, "", l.prefix(word))
	case !l.flagsOver && strings.HasPrefix(word, "--") && hasValue:
		if flag := l.flag(name); flag != nil && takesValue(flag) {
			return l.values(flag.Value, name+"=", value)
		}
		return nil
	case !l.flagsOver && strings.HasPrefix(word, "-"):
		return l.flags()
	case len(l.node.Children) > 0:
		var all []Candidate
		for _, child := range l.node.Children {
			if !child.Hidden {
				all = append(all, Candidate{child.Name, firstSentence(child.Help)})
			}
		}
		return all
	case l.arguments < len(l.node.Positional):
		return l.values(l.node.Positional[l.arguments], "", word)
	}
	return nil
}

// values returns the values of a flag or an argument, each with the text before in
// front of it.
func (l *commandLine) values(v *kong.Value, before, prefix string) []Candidate {
	values := v.EnumSlice()
	if tag := v.Tag.Get("completion"); tag != "" {
		values = strings.Fields(tag)
		if source, ok := l.sources[tag]; ok {
			values = source(prefix)
		}
	}
	var all []Candidate
	for _, value := range values {
		if value != "" {
			all = append(all, Candidate{Text: before + value})
		}
	}
	return all
}

func (l *commandLine) flags() []Candidate {
	var all []Candidate
	for _, flag := range l.allFlags() {
		all = append(all, Candidate{"--" + flag.Name, firstSentence(flag.Help)})
		if flag.Tag.Negatable != "" {
			all = append(all, Candidate{"--no-" + flag.Name, firstSentence(flag.Help)})
		}
	}
	return all
}

// flag returns the flag with a name such as --profile or -p.
func (l *commandLine) flag(name string) *kong.Flag {
	for _, flag := range l.allFlags() {
		if name == "--"+flag.Name || flag.Short != 0 && name == "-"+string(flag.Short) {
			return flag
		}
	}
	return nil
}

func (l *commandLine) allFlags() []*kong.Flag { return slices.Concat(l.node.AllFlags(true)...) }

func takesValue(flag *kong.Flag) bool { return !flag.IsBool() && !flag.IsCounter() }

// firstSentence returns the part of a help text that fits beside a candidate.
func firstSentence(help string) string {
	for _, end := range []string{"\n", ". ", " (default "} {
		help, _, _ = strings.Cut(help, end)
	}
	return strings.TrimSuffix(help, ".")
}

var (
	//go:embed bash.sh
	bash string
	//go:embed zsh.zsh
	zsh string
	//go:embed fish.fish
	fish string
)

// Script returns the script that a shell sources to complete the program's command
// line. The program has a hidden command __complete, which prints the candidates for
// its arguments, one per line: the text, a tab and the description.
func Script(shell, program string) (string, error) {
	scripts := map[string]string{"bash": bash, "zsh": zsh, "fish": fish}
	script, ok := scripts[shell]
	if !ok {
		return "", fmt.Errorf("there is no completion for %q: want bash, zsh or fish", shell)
	}
	return strings.ReplaceAll(script, "PROGRAM", program), nil
}
