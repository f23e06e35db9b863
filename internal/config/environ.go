package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// applyEnviron sets every setting that has an OSIRIS_ variable which is not empty.
func (d *decoder) applyEnviron(cfg *Config) {
	known := map[string]bool{
		"OSIRIS_CONFIG": true, "OSIRIS_BOOTSTRAP_KEY": true, "OSIRIS_API_KEY": true, "OSIRIS_BASE_URL": true,
	}
	d.environStruct(reflect.ValueOf(cfg).Elem(), "", known)
	names := slices.Sorted(maps.Keys(known))
	for _, name := range slices.Sorted(maps.Keys(d.environ)) {
		if !strings.HasPrefix(name, "OSIRIS_") || known[name] {
			continue
		}
		// Not a fault: Kubernetes itself sets such names for a service called osiris.
		if near := suggest(name, names); near != "" {
			cfg.Warnings = append(cfg.Warnings, fmt.Sprintf("%s is no setting; did you mean %s?", name, near))
		}
	}
}

func (d *decoder) environStruct(v reflect.Value, path string, known map[string]bool) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name := f.Tag.Get("yaml")
		if name == "-" {
			continue
		}
		at, field := join(path, name), v.Field(i)
		switch {
		case f.Type.Kind() == reflect.Struct:
			d.environStruct(field, at, known)
		case f.Type.Kind() == reflect.Map && f.Type.Elem().Kind() == reflect.Struct:
			d.environMap(field, at, known)
		case isScalar(f.Type):
			variable := variableOf(at)
			known[variable] = true
			if text := d.environ[variable]; text != "" {
				d.set(field, f.Tag, at, text, variable)
			}
		}
	}
}

// environMap lets variables change entries that exist; it makes none.
func (d *decoder) environMap(v reflect.Value, path string, known map[string]bool) {
	for _, key := range v.MapKeys() {
		entry := reflect.New(v.Type().Elem()).Elem()
		entry.Set(v.MapIndex(key))
		d.environStruct(entry, join(path, key.String()), known)
		v.SetMapIndex(key, entry)
	}
}

func (d *decoder) set(v reflect.Value, tag reflect.StructTag, path, text, source string) {
	d.origins[path] = origin{source: source}
	if p := setScalar(v, tag, text); p != nil {
		d.faults = append(d.faults, p.at(origin{source: source}, path))
	}
}

// override applies a flag. Its path names a scalar outside maps and lists.
func (d *decoder) override(cfg *Config, o Override) {
	v := reflect.ValueOf(cfg).Elem()
	var tag reflect.StructTag
	for name := range strings.SplitSeq(o.Path, ".") {
		f, ok := reflect.StructField{}, false
		if v.Kind() == reflect.Struct {
			f, ok = fieldNamed(v.Type(), name)
		}
		if !ok {
			d.faults = append(d.faults, Fault{Source: o.Source, Field: o.Path, Problem: "there is no such setting"})
			return
		}
		v, tag = v.FieldByIndex(f.Index), f.Tag
	}
	d.set(v, tag, o.Path, o.Text, o.Source)
}
