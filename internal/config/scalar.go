package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// setScalar parses text into v, which the field's tag describes, and verifies it.
// v keeps its old value when text is faulty. Secrets never reach a problem's text.
func setScalar(v reflect.Value, tag reflect.StructTag, text string) *problem {
	if v.Kind() == reflect.Pointer {
		target := reflect.New(v.Type().Elem())
		if p := setScalar(target.Elem(), tag, text); p != nil {
			return p
		}
		v.Set(target)
		return nil
	}
	parsed, p := parseScalar(v.Type(), text)
	if p != nil {
		return p
	}
	if p := checkScalar(parsed, tag, text); p != nil {
		return p
	}
	v.Set(parsed)
	return nil
}

func parseScalar(t reflect.Type, text string) (reflect.Value, *problem) {
	v := reflect.New(t).Elem()
	switch t {
	case reflect.TypeFor[time.Duration]():
		d, err := time.ParseDuration(text)
		if err != nil {
			if _, plain := strconv.ParseFloat(text, 64); plain == nil && text != "0" {
				return v, &problem{fmt.Sprintf("%q has no unit", text), "write " + text + "s for seconds"}
			}
			return v, &problem{fmt.Sprintf("%q is no duration", text), "write it like 500ms, 30s or 10m"}
		}
		v.SetInt(int64(d))
		return v, nil
	case reflect.TypeFor[Size]():
		size, err := parseSize(text)
		if err != nil {
			return v, &problem{fmt.Sprintf("%q is no size", text), "write it like 64MB, 8MiB or a number of bytes"}
		}
		v.SetInt(int64(size))
		return v, nil
	}
	switch t.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, ok := parseBool(text)
		if !ok {
			return v, &problem{fmt.Sprintf("%q is neither true nor false", text), "write true or false"}
		}
		v.SetBool(b)
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 10, 64)
		if err != nil {
			return v, &problem{fmt.Sprintf("%q is no whole number", text), "write digits only"}
		}
		v.SetInt(n)
	default:
		return v, &problem{"cannot be set from text", "set it in the file"}
	}
	return v, nil
}

func parseBool(text string) (value, ok bool) {
	switch strings.ToLower(text) {
	case "true", "1", "yes", "on":
		return true, true
	case "false", "0", "no", "off":
		return false, true
	}
	return false, false
}

func checkScalar(v reflect.Value, tag reflect.StructTag, text string) *problem {
	if choices, ok := tag.Lookup("enum"); ok {
		if p := checkEnum(v.String(), strings.Split(choices, "|"), tag.Get("required") != ""); p != nil {
			return p
		}
	}
	for _, bound := range []string{"min", "max"} {
		limit, ok := tag.Lookup(bound)
		if !ok {
			continue
		}
		l, p := parseScalar(v.Type(), limit)
		if p != nil {
			return p
		}
		if bound == "min" && v.Int() < l.Int() {
			return &problem{fmt.Sprintf("%s is too small", text), fmt.Sprintf("the least is %v", l.Interface())}
		}
		if bound == "max" && v.Int() > l.Int() {
			return &problem{fmt.Sprintf("%s is too large", text), fmt.Sprintf("the most is %v", l.Interface())}
		}
	}
	if check := tag.Get("check"); check != "" && v.String() != "" {
		return checkText(check, v.String())
	}
	return nil
}

func checkEnum(value string, choices []string, required bool) *problem {
	named := make([]string, 0, len(choices))
	for _, c := range choices {
		if c == value {
			return nil
		}
		if c != "" {
			named = append(named, c)
		}
	}
	if value == "" && required {
		return &problem{"is empty", "write one of " + strings.Join(named, ", ")}
	}
	remedy := "write one of " + strings.Join(named, ", ")
	if s := suggest(value, named); s != "" {
		remedy = "did you mean " + s + "?"
	}
	return &problem{fmt.Sprintf("%q is not known", value), remedy}
}
