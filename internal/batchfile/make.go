package batchfile

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Recipe says how rows become requests.
type Recipe struct {
	Model    string                     // required
	System   string                     // a system message before the prompt; "" for none
	Template string                     // the prompt, with {column} for values; "" is the column prompt
	Options  map[string]json.RawMessage // further members of each request
}

// mark is the byte order mark that some programs begin their files with.
const mark = "\xef\xbb\xbf"

// FromCSV writes a request for each row of a CSV file with a header row. A column
// custom_id, if there is one, names the requests; otherwise their lines do. It returns
// how many there are.
func FromCSV(w io.Writer, r io.Reader, recipe Recipe) (int, error) {
	in := bufio.NewReader(r)
	if head, _ := in.Peek(len(mark)); string(head) == mark {
		_, _ = in.Discard(len(mark)) // it was just seen
	}
	rows := csv.NewReader(in)
	rows.ReuseRecord = true
	header, err := rows.Read()
	if err == io.EOF {
		return 0, errors.New("the file is empty: its first row must name the columns")
	}
	if err != nil {
		return 0, fmt.Errorf("read CSV: %w", err)
	}
	columns := slices.Clone(header)
	m, err := newMaker(w, recipe, columns)
	if err != nil {
		return 0, err
	}
	id := slices.Index(columns, "custom_id")
	for {
		row, err := rows.Read()
		if err == io.EOF {
			return m.count, m.flush()
		}
		if err != nil {
			return m.count, fmt.Errorf("read CSV: %w", err) // it names the line
		}
		line, _ := rows.FieldPos(0)
		name := "line-" + strconv.Itoa(line)
		if id >= 0 && row[id] != "" {
			name = row[id]
		}
		if err := m.add(line, name, row); err != nil {
			return m.count, err
		}
	}
}

// FromText writes a request for each line of prompts that is not blank, named after
// its line. It returns how many there are.
func FromText(w io.Writer, r io.Reader, recipe Recipe) (int, error) {
	m, err := newMaker(w, recipe, []string{"prompt"})
	if err != nil {
		return 0, err
	}
	in := bufio.NewReader(r)
	for line := 1; ; line++ {
		text, err := in.ReadString('\n')
		if err != nil && err != io.EOF {
			return m.count, fmt.Errorf("read prompts: %w", err)
		}
		if line == 1 {
			text = strings.TrimPrefix(text, mark)
		}
		if text = strings.TrimSpace(text); text != "" {
			if err := m.add(line, "line-"+strconv.Itoa(line), []string{text}); err != nil {
				return m.count, err
			}
		}
		if err == io.EOF {
			return m.count, m.flush()
		}
	}
}

// maker writes requests.
type maker struct {
	out    *bufio.Writer
	recipe Recipe
	prompt template
	system template
	count  int
	buf    bytes.Buffer
}

func newMaker(w io.Writer, recipe Recipe, columns []string) (*maker, error) {
	if recipe.Model == "" {
		return nil, errors.New("prompts need a model: name it with --model")
	}
	if recipe.Template == "" {
		if !slices.Contains(columns, "prompt") {
			return nil, fmt.Errorf("there is no column prompt: name one so, or write a --template with %s", placeholders(columns))
		}
		recipe.Template = "{prompt}"
	}
	prompt, err := parseTemplate(recipe.Template, columns)
	if err != nil {
		return nil, fmt.Errorf("template: %w", err)
	}
	system, err := parseTemplate(recipe.System, columns)
	if err != nil {
		return nil, fmt.Errorf("system message: %w", err)
	}
	return &maker{out: bufio.NewWriterSize(w, 64<<10), recipe: recipe, prompt: prompt, system: system}, nil
}

func placeholders(columns []string) string { return "{" + strings.Join(columns, "}, {") + "}" }

type turn struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// add writes the request of one row.
func (m *maker) add(line int, name string, row []string) error {
	for _, field := range row {
		if !utf8.ValidString(field) {
			return fmt.Errorf("line %d: the text is not UTF-8", line)
		}
	}
	prompt := m.prompt.fill(row)
	if strings.TrimSpace(prompt) == "" {
		return fmt.Errorf("line %d: the prompt is empty", line)
	}
	turns := make([]turn, 0, 2)
	if system := m.system.fill(row); system != "" {
		turns = append(turns, turn{"system", system})
	}
	turns = append(turns, turn{"user", prompt})
	body := map[string]any{"model": m.recipe.Model, "messages": turns}
	for _, option := range slices.Sorted(maps.Keys(m.recipe.Options)) {
		body[option] = m.recipe.Options[option]
	}
	m.buf.Reset()
	enc := json.NewEncoder(&m.buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(struct {
		CustomID string         `json:"custom_id"`
		Method   string         `json:"method"`
		URL      string         `json:"url"`
		Body     map[string]any `json:"body"`
	}{name, "POST", Endpoint, body})
	if err == nil {
		_, err = m.out.Write(m.buf.Bytes())
	}
	if err != nil {
		return fmt.Errorf("line %d: %w", line, err)
	}
	m.count++
	return nil
}

func (m *maker) flush() error {
	if err := m.out.Flush(); err != nil {
		return fmt.Errorf("write requests: %w", err)
	}
	return nil
}
