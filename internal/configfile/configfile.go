// Package configfile reads settings from a YAML file: one mapping of names to values.
package configfile

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// A File is what a configuration file says.
type File struct {
	// Name is the file's name, for messages.
	Name     string
	Settings map[string]Setting
}

// A Setting is the value of one name.
type Setting struct {
	// Line is where the file has the setting, beginning with 1.
	Line int
	// Values are the elements of a list, or the one value.
	Values []string
	// IsNumber is whether the value is a number without a unit.
	IsNumber bool
}

// maxSize bounds the size of a file in bytes.
const maxSize = 1 << 20

// plainText removes what some Windows programs write: a byte order mark, and carriage
// returns, which the parser counts as lines.
var plainText = strings.NewReplacer("\ufeff", "", "\r\n", "\n")

// Read reads a file. An empty file has no settings. The error says in which line what is
// wrong. It never contains a value of the file, which may be secret.
func Read(r io.Reader, name string) (*File, error) {
	f := &File{Name: name, Settings: map[string]Setting{}}
	text, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(text) > maxSize {
		return nil, fmt.Errorf("%s: is larger than %d bytes: is it the configuration file?", name, maxSize)
	}
	parsed, err := parser.ParseBytes([]byte(plainText.Replace(string(text))), 0)
	if err != nil {
		return nil, f.explain(err)
	}
	documents := slices.DeleteFunc(parsed.Docs, func(d *ast.DocumentNode) bool { return d.Body == nil || d.Body.Type() == ast.CommentType })
	switch len(documents) {
	case 0:
		return f, nil
	case 1:
	default:
		return nil, fmt.Errorf("%s: has %d documents, separated by ---; put all settings into one", name, len(documents))
	}
	var entries []*ast.MappingValueNode
	switch body := documents[0].Body.(type) {
	case *ast.MappingNode:
		entries = body.Values
	case *ast.MappingValueNode:
		entries = []*ast.MappingValueNode{body}
	default:
		return nil, fmt.Errorf("%s: must have lines such as \"listen: :8080\": a name, a colon, a space and a value", name)
	}
	for _, entry := range entries {
		if err := f.add(entry); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// explain words an error of the parser without the source, which it quotes.
func (f *File) explain(err error) error {
	if known, ok := errors.AsType[yaml.Error](err); ok {
		line := 0
		if token := known.GetToken(); token != nil && token.Position != nil {
			line = token.Position.Line
		}
		return f.at(line, "is not YAML: %s", firstLine(known.GetMessage()))
	}
	return fmt.Errorf("%s: is not YAML", f.Name)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// at words an error about a line.
func (f *File) at(line int, format string, args ...any) error {
	return fmt.Errorf("%s, line %d: %w", f.Name, line, fmt.Errorf(format, args...))
}

func (f *File) add(entry *ast.MappingValueNode) error {
	line := entry.Key.GetToken().Position.Line
	var name string
	if err := yaml.NodeToValue(entry.Key, &name); err != nil || entry.Key.IsMergeKey() {
		return f.at(line, "the name of a setting is a word such as access-ttl")
	}
	if _, twice := f.Settings[name]; twice {
		return f.at(line, "%q is set a second time; line %d has it already", name, f.Settings[name].Line)
	}
	var value any
	if err := yaml.NodeToValue(entry.Value, &value); err != nil {
		return f.at(line, "the value of %q cannot be read", name)
	}
	s := Setting{Line: line}
	switch value := value.(type) {
	case nil:
		return f.at(line, "%q has no value; give it one, or remove the line", name)
	case []any:
		s.Values = []string{}
		for _, element := range value {
			text, isScalar := scalar(element)
			if !isScalar {
				return f.at(line, "an element in the list of %q is no plain value", name)
			}
			s.Values = append(s.Values, text)
		}
	default:
		text, isScalar := scalar(value)
		if !isScalar {
			return f.at(line, "%q has settings of its own below it; names are written in full, such as access-ttl", name)
		}
		s.Values, s.IsNumber = []string{text}, isNumber(value)
	}
	f.Settings[name] = s
	return nil
}

func scalar(value any) (string, bool) {
	switch value := value.(type) {
	case string:
		return value, true
	case bool:
		return strconv.FormatBool(value), true
	case uint64:
		return strconv.FormatUint(value, 10), true
	case int64:
		return strconv.FormatInt(value, 10), true
	case float64:
		if value == math.Trunc(value) && math.Abs(value) < 1e15 {
			return strconv.FormatInt(int64(value), 10), true
		}
		return strconv.FormatFloat(value, 'g', -1, 64), true
	}
	return "", false
}

func isNumber(value any) bool {
	switch value.(type) {
	case uint64, int64, float64:
		return true
	}
	return false
}

// Check refuses settings that are not among the known ones.
func (f *File) Check(known []string) error {
	var errs []error
	for _, name := range slices.SortedFunc(maps.Keys(f.Settings), func(a, b string) int { return f.Settings[a].Line - f.Settings[b].Line }) {
		if !slices.Contains(known, name) {
			errs = append(errs, f.at(f.Settings[name].Line, "there is no setting %q%s", name, didYouMean(name, known)))
		}
	}
	return errors.Join(errs...)
}

// Values returns the values of a setting, or nil if the file does not have it. If the
// setting is a duration, Values refuses a number without a unit.
func (f *File) Values(name string, isDuration bool) ([]string, error) {
	s := f.Settings[name]
	if isDuration && s.IsNumber && s.Values[0] != "0" {
		return nil, f.at(s.Line, "%q is the number %s, without a unit; durations are written like 10s, 15m or 2h", name, s.Values[0])
	}
	return s.Values, nil
}

func didYouMean(name string, known []string) string {
	if best := Closest(name, known); best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	return "; tandem serve --help lists them"
}
