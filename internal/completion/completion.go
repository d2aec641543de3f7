// Package completion says how the command line of a kong application may go on, to
// bash, zsh and fish. A flag or an argument says what its values are in a tag
// completion: the name of a source, or the values themselves.
package completion

import (
	_ "embed" // the shells' parts
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// A Candidate is what a word may become, and what that means.
type Candidate struct{ Text, Help string }

// A Source returns values that begin with a prefix; it may return others, too.
type Source func(prefix string) []string

// Complete returns what the last of the words may become. The words are those behind
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

// A commandLine is one that has been read up to some word.
type commandLine struct {
	sources map[string]Source
	node    *kong.Node
	// arguments is how many of the node's there have been.
	arguments int
	// pending is the flag whose value comes next.
	pending *kong.Flag
	// flagsOver is whether there has been a "--".
	flagsOver bool
}

// read takes one word, of which nothing is left to complete.
func (l *commandLine) read(word string) {
	switch {
	case l.pending != nil:
		if word != "=" { // bash makes three words of --flag=value
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
		// Of several in one word, such as -ip, the first that takes a value takes the
		// rest for it.
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

// prefix is what the text of a candidate begins with.
func (l *commandLine) prefix(word string) string {
	if l.pending != nil && word == "=" {
		return ""
	}
	return word
}

// candidates returns what may stand in the place of a word, whatever that begins with.
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

// values returns those of a flag or an argument, each behind before.
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

// flag returns the one of a name such as --profile or -p.
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

// firstSentence is what there is room for beside a candidate.
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

// Script returns what a shell has to read once: for the program of a name, whose hidden
// command __complete prints the candidates for its arguments, one a line: the text, a
// tab, and what it means.
func Script(shell, program string) (string, error) {
	scripts := map[string]string{"bash": bash, "zsh": zsh, "fish": fish}
	script, ok := scripts[shell]
	if !ok {
		return "", fmt.Errorf("there is no completion for %q: want bash, zsh or fish", shell)
	}
	return strings.ReplaceAll(script, "PROGRAM", program), nil
}
