package migration

import (
	"encoding"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// position is where a field stands in the file.
type position struct{ line, column int }

// walker compares the YAML tree with the Go types and collects what does not fit, with positions. What it
// lets through, the decoder takes.
type walker struct {
	problems []Problem
	at       map[string]position
}

func newWalker() *walker { return &walker{at: map[string]position{}} }

func (w *walker) file(body ast.Node) { w.value(body, reflect.TypeFor[File](), "", "") }

func (w *walker) problem(n ast.Node, field, what, mend string) {
	p := pos(n)
	w.problems = append(w.problems, Problem{Line: p.line, Column: p.column, Field: field, What: what, Mend: mend})
}

func pos(n ast.Node) position {
	switch m := n.(type) { // their own tokens are the first colon's
	case *ast.MappingNode:
		if !m.IsFlowStyle && len(m.Values) > 0 {
			n = m.Values[0].Key
		}
	case *ast.MappingValueNode:
		n = m.Key
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return position{line: t.Position.Line, column: t.Position.Column}
	}
	return position{line: 1, column: 1}
}

// value checks one node against a type; tag is the jsonschema tag of the field that holds it.
func (w *walker) value(n ast.Node, t reflect.Type, field, tag string) {
	w.at[field] = pos(n)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		w.problem(n, field, "YAML anchors, aliases and tags are not taken", "write the value out")
		return
	case *ast.NullNode:
		if t.Kind() != reflect.Interface { // in a merge patch, null takes a field away
			w.problem(n, field, "it has no value", "give it one or leave the field out")
		}
		return
	}
	if w.mark(n, field) {
		return
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		w.text(n, t, field)
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		w.structure(n, t, field)
	case reflect.Map:
		w.mapping(n, t, field)
	case reflect.Slice:
		w.sequence(n, t, field, tag)
	case reflect.Interface: // free form: the API server judges what it says
		w.free(n, t, field)
	default:
		w.scalar(n, t, field, tag)
	}
}

// free walks through what may have any form.
func (w *walker) free(n ast.Node, t reflect.Type, field string) {
	switch n := n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		w.mapping(n, reflect.MapOf(reflect.TypeFor[string](), t), field)
	case *ast.SequenceNode:
		w.sequence(n, reflect.SliceOf(t), field, "")
	}
}

func (w *walker) text(n ast.Node, t reflect.Type, field string) {
	s, ok := scalarText(n)
	if !ok {
		w.problem(n, field, "it must be a single value", "")
		return
	}
	v, isText := reflect.New(t).Interface().(encoding.TextUnmarshaler)
	if !isText {
		return
	}
	if err := v.UnmarshalText([]byte(s)); err != nil {
		w.problem(n, field, err.Error(), "")
	} else if d, isTime := v.(*Duration); isTime && *d == 0 {
		w.problem(n, field, "it is no time at all", "raise it, or leave the field out for its default")
	}
}

func (w *walker) structure(n ast.Node, t reflect.Type, field string) {
	values, ok := mappingValues(n)
	if !ok {
		w.problem(n, field, "it must be a mapping of fields", "known fields: "+strings.Join(fieldNames(t), ", "))
		return
	}
	seen := map[string]bool{}
	for _, mv := range values {
		key, ok := w.key(mv, field)
		if !ok {
			continue
		}
		path := join(field, key)
		if seen[key] {
			w.problem(mv.Key, path, "the field stands here a second time", "keep one of them")
			continue
		}
		seen[key] = true
		f, ok := fieldByName(t, key)
		if !ok {
			w.problem(mv.Key, path, "there is no such field", suggest(key, fieldNames(t)))
			continue
		}
		w.value(mv.Value, f.Type, path, f.Tag.Get("jsonschema"))
	}
	for i := range t.NumField() {
		name, optional := yamlName(t.Field(i))
		if !optional && !seen[name] {
			w.problem(n, join(field, name), "the field is missing", "add it: "+name+": …")
		}
	}
}

func (w *walker) mapping(n ast.Node, t reflect.Type, field string) {
	values, ok := mappingValues(n)
	if !ok {
		w.problem(n, field, "it must be a mapping", "")
		return
	}
	seen := map[string]bool{}
	for _, mv := range values {
		key, ok := w.key(mv, field)
		if !ok {
			continue
		}
		path := join(field, key)
		if seen[key] {
			w.problem(mv.Key, path, "the key stands here a second time", "keep one of them")
			continue
		}
		seen[key] = true
		if isInt(t.Key()) {
			if _, err := strconv.ParseInt(key, 10, 32); err != nil || padded(key) {
				w.problem(mv.Key, path, fmt.Sprintf("the key %q must be a whole number", key), "write it in digits, without leading zeros")
			}
		}
		w.value(mv.Value, t.Elem(), path, "")
	}
}

func (w *walker) sequence(n ast.Node, t reflect.Type, field, tag string) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		w.problem(n, field, "it must be a list", "begin each entry with a dash")
		return
	}
	if least, ok := tagValue(tag, "minItems"); ok {
		if m, err := strconv.Atoi(least); err == nil && len(seq.Values) < m {
			w.problem(n, field, fmt.Sprintf("the list has %d entries", len(seq.Values)), "it needs at least "+least)
		}
	}
	for i, item := range seq.Values {
		w.value(item, t.Elem(), fmt.Sprintf("%s[%d]", field, i), "")
	}
}

func (w *walker) scalar(n ast.Node, t reflect.Type, field, tag string) {
	s, ok := scalarText(n)
	if !ok {
		w.problem(n, field, "it must be a single value, not a list or mapping", "")
		return
	}
	switch {
	case t.Kind() == reflect.Bool:
		if _, isBool := n.(*ast.BoolNode); !isBool {
			w.problem(n, field, fmt.Sprintf("%q is neither true nor false", s), "")
		}
	case isInt(t):
		w.number(n, s, field, tag)
	case t.Kind() == reflect.Float64:
		w.share(n, s, field, tag)
	case t.Kind() == reflect.String:
		if !isText(n) {
			w.problem(n, field, fmt.Sprintf("%s must be text", s), fmt.Sprintf("put it in quotes: %q", s))
			return
		}
		w.word(n, s, field, tag)
	}
}

func (w *walker) number(n ast.Node, s, field, tag string) {
	v, err := strconv.Atoi(s)
	if _, isInteger := n.(*ast.IntegerNode); err != nil || !isInteger || padded(s) {
		w.problem(n, field, fmt.Sprintf("%q is not a whole number", s), "write it in digits, without quotes and leading zeros")
		return
	}
	w.word(n, s, field, tag)
	if least, ok := tagValue(tag, "minimum"); ok {
		if m, err := strconv.Atoi(least); err == nil && v < m {
			w.problem(n, field, fmt.Sprintf("%d is too small", v), "at least "+least)
		}
	}
	if most, ok := tagValue(tag, "maximum"); ok {
		if m, err := strconv.Atoi(most); err == nil && v > m {
			w.problem(n, field, fmt.Sprintf("%d is too large", v), "at most "+most)
		}
	}
}

// share checks a number with a fraction. Its limits are whole numbers.
func (w *walker) share(n ast.Node, s, field, tag string) {
	least, _ := tagValue(tag, "minimum")
	most, _ := tagValue(tag, "maximum")
	v, err := strconv.ParseFloat(s, 64)
	low, lerr := strconv.ParseFloat(least, 64)
	high, herr := strconv.ParseFloat(most, 64)
	_, isFloat := n.(*ast.FloatNode)
	_, isInteger := n.(*ast.IntegerNode)
	switch {
	case err != nil || !isFloat && !isInteger:
		w.problem(n, field, fmt.Sprintf("%q is not a number", s), "write it in digits, as 0.5, without quotes")
	case lerr == nil && !(v >= low) || herr == nil && !(v <= high):
		w.problem(n, field, s+" is out of its range", "from "+least+" to "+most)
	}
}

func (w *walker) word(n ast.Node, s, field, tag string) {
	var allowed []string
	for part := range strings.SplitSeq(unescaped(tag), "\x00") {
		if v, ok := strings.CutPrefix(part, "enum="); ok {
			allowed = append(allowed, v)
		}
	}
	if len(allowed) > 0 && !slices.Contains(allowed, s) {
		w.problem(n, field, fmt.Sprintf("%q is not one of its values", s), "one of "+strings.Join(allowed, ", "))
	}
	if pattern, ok := tagValue(tag, "pattern"); ok {
		if re, err := regexp.Compile(pattern); err == nil && !re.MatchString(s) {
			w.problem(n, field, fmt.Sprintf("%q has a form that is not taken", s), "it must match "+pattern)
		}
	}
}

// unescaped separates the parts of a jsonschema tag by NUL: a comma that belongs to a value is written \, there.
func unescaped(tag string) string {
	tag = strings.ReplaceAll(tag, `\,`, "\x01")
	tag = strings.ReplaceAll(tag, ",", "\x00")
	return strings.ReplaceAll(tag, "\x01", ",")
}

func tagValue(tag, key string) (string, bool) {
	for part := range strings.SplitSeq(unescaped(tag), "\x00") {
		if v, ok := strings.CutPrefix(part, key+"="); ok {
			return v, true
		}
	}
	return "", false
}

// padded reports whether a number has leading zeros: YAML 1.1 reads it as octal, people do not.
func padded(s string) bool {
	s = strings.TrimLeft(s, "+-")
	return len(s) > 1 && s[0] == '0'
}

// key is the name of a field or the key of a mapping.
func (w *walker) key(mv *ast.MappingValueNode, field string) (string, bool) {
	if _, merge := mv.Key.(*ast.MergeKeyNode); merge {
		w.problem(mv.Key, field, "YAML merge keys (<<) are not taken", "write the fields out")
		return "", false
	}
	key, ok := scalarText(mv.Key)
	if !ok {
		w.problem(mv.Key, field, "the name of a field must be plain text", "write it as NAME: …")
	}
	return key, ok
}

func mappingValues(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}, true
	}
	return nil, false
}

func scalarText(n ast.Node) (string, bool) {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value, true
	case *ast.LiteralNode:
		return v.Value.Value, true
	case ast.ScalarNode:
		return v.GetToken().Value, true
	}
	return "", false
}

func isText(n ast.Node) bool {
	switch n.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return true
	}
	return false
}

func isInt(t reflect.Type) bool { return t.Kind() == reflect.Int || t.Kind() == reflect.Int32 }

func yamlName(f reflect.StructField) (name string, optional bool) {
	name, rest, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name, strings.Contains(rest, "omitempty")
}

func fieldNames(t reflect.Type) []string {
	names := make([]string, t.NumField())
	for i := range names {
		names[i], _ = yamlName(t.Field(i))
	}
	return names
}

func fieldByName(t reflect.Type, name string) (reflect.StructField, bool) {
	for i := range t.NumField() {
		if n, _ := yamlName(t.Field(i)); n == name {
			return t.Field(i), true
		}
	}
	return reflect.StructField{}, false
}

func join(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "." + name
}

// suggest names the closest known field, or all of them.
func suggest(name string, known []string) string {
	best, least := "", 3
	for _, k := range known {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	return "known here: " + strings.Join(known, ", ")
}

// distance is the number of letters to insert, delete or replace to get from a to b (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for k := range row {
		row[k] = k
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for k := 1; k <= len(b); k++ {
			cost := 1
			if a[i-1] == b[k-1] {
				cost = 0
			}
			next := min(row[k]+1, row[k-1]+1, diagonal+cost)
			diagonal, row[k] = row[k], next
		}
	}
	return row[len(b)]
}
