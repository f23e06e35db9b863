package config

import (
	"fmt"
	"strings"
)

// expand replaces ${NAME} by the variable and ${NAME:-text} by the variable or,
// when it is unset or empty, by text; $${ stands for a plain ${. Variables that are
// unset or empty are problems, one for each.
func expand(text string, environ map[string]string) (string, []*problem) {
	if !strings.Contains(text, "${") {
		return text, nil
	}
	var out strings.Builder
	var problems []*problem
	for {
		start := strings.Index(text, "${")
		if start < 0 {
			out.WriteString(text)
			return out.String(), problems
		}
		if start > 0 && text[start-1] == '$' {
			out.WriteString(text[:start-1] + "${")
			text = text[start+2:]
			continue
		}
		out.WriteString(text[:start])
		inside, rest, closed := strings.Cut(text[start+2:], "}")
		if !closed {
			return "", append(problems, &problem{"${ is not closed", "write ${NAME}, or $${ for a plain ${"})
		}
		name, fallback, hasFallback := strings.Cut(inside, ":-")
		switch value := environ[name]; {
		case !isVariable(name):
			problems = append(problems, &problem{fmt.Sprintf("%q is not the name of a variable", name), "write ${NAME}, or $${ for a plain ${"})
		case value != "":
			out.WriteString(value)
		case hasFallback:
			out.WriteString(fallback)
		default:
			problems = append(problems, unsetVariable(name))
		}
		text = rest
	}
}

func unsetVariable(name string) *problem {
	return &problem{"the variable " + name + " is not set", "export " + name + ", or remove the line"}
}
