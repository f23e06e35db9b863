package echo

import (
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// offers are the members of a request that speak of tools.
type offers struct {
	Tools []struct {
		Type     string   `json:"type"`
		Function function `json:"function"`
		Custom   function `json:"custom"`
	} `json:"tools"`
	ToolChoice   jsontext.Value `json:"tool_choice"`
	Functions    []function     `json:"functions"`
	FunctionCall jsontext.Value `json:"function_call"`
}

type function struct {
	Name       string         `json:"name"`
	Parameters jsontext.Value `json:"parameters"`
}

// tools lists what is offered, functions of the old kind last.
func (o *offers) tools() []tool {
	var list []tool
	for i := range o.Tools {
		t := &o.Tools[i]
		if t.Type == "custom" {
			list = append(list, tool{name: t.Custom.Name, custom: true})
		} else {
			list = append(list, tool{name: t.Function.Name, schema: t.Function.Parameters})
		}
	}
	for _, f := range o.Functions {
		list = append(list, tool{name: f.Name, schema: f.Parameters, legacy: true})
	}
	return list
}

// demanded returns the tool that the request insists on, or nil.
func (o *offers) demanded(tools []tool) *tool {
	name, whichever := insistsOn(o.ToolChoice)
	if name == "" && !whichever {
		name, whichever = insistsOn(o.FunctionCall)
	}
	if whichever && len(tools) > 0 {
		return &tools[0]
	}
	return find(tools, name)
}

// insistsOn reads a tool_choice or function_call: a tool's name, or any of them.
func insistsOn(choice jsontext.Value) (name string, whichever bool) {
	if choice.Kind() == '"' {
		return "", string(choice) == `"required"`
	}
	var v struct {
		Name     string   `json:"name"` // function_call
		Function function `json:"function"`
		Custom   function `json:"custom"`
		Allowed  struct {
			Mode  string `json:"mode"`
			Tools []struct {
				Function function `json:"function"`
				Custom   function `json:"custom"`
			} `json:"tools"`
		} `json:"allowed_tools"`
	}
	if choice.Kind() != '{' || json.Unmarshal(choice, &v, lenient()) != nil {
		return "", false
	}
	if v.Allowed.Mode == "required" && len(v.Allowed.Tools) > 0 {
		t := v.Allowed.Tools[0]
		return t.Function.Name + t.Custom.Name, false
	}
	return v.Name + v.Function.Name + v.Custom.Name, false
}

// find returns the tool of that name, nil if there is none.
func find(tools []tool, name string) *tool {
	for i := range tools {
		if name != "" && tools[i].name == name {
			return &tools[i]
		}
	}
	return nil
}
