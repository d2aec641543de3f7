// Package visible makes untrusted text safe to show: it removes characters that are
// invisible or that change the order in which others appear.
package visible

import (
	"strings"
	"unicode"
)

// braille is the blank Braille pattern. Unicode classifies it as a symbol, not a space.
const braille = '\u2800'

// IsHidden reports whether a character is invisible or changes how others appear: a
// control character, a change of the writing direction, a zero-width space, a tag, a
// variation selector, or any space other than ' '.
func IsHidden(r rune) bool {
	return !unicode.IsPrint(r) || r == braille || unicode.In(r, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}

// Text returns one line of text without hidden characters. It replaces each space,
// whatever its width, by ' ', and each byte of invalid UTF-8 by U+FFFD.
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

// Lines applies [Text] to each line of a text, and keeps the line breaks.
func Lines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = Text(line)
	}
	return strings.Join(lines, "\n")
}
