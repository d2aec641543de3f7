// Package visible makes text of somebody else's fit to be shown to people: what they see
// is all there is, in the order in which it is.
package visible

import (
	"strings"
	"unicode"
)

// braille is the blank of Braille, which counts as a symbol.
const braille = '\u2800'

// IsHidden reports whether a character is not seen, or changes how others are: a control
// character, one that changes the direction of writing, a space of no width, a tag, a
// variation selector. Spaces of other widths than that of ' ' count.
func IsHidden(r rune) bool {
	return !unicode.IsPrint(r) || r == braille || unicode.In(r, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}

// Text returns one line of text without hidden characters. Spaces of any width become ' '.
// What is not UTF-8 becomes U+FFFD.
func Text(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Z, r), r == braille:
			return ' '
		case IsHidden(r):
			return -1
		}
		return r
	}, s)
}

// Lines is [Text] for text of several lines.
func Lines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = Text(line)
	}
	return strings.Join(lines, "\n")
}
