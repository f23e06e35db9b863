// Package config is the one configuration of all Osiris programs: a YAML file,
// OSIRIS_… environment variables and flags, in that order of growing weight.
//
// The rules it keeps:
//
//   - Every fault is reported, not only the first, each with its file and line (or
//     its variable or flag), the path of the field, and what to do about it.
//   - A configuration that Load returned is whole: every default is filled in and
//     every reference resolves. Nobody downstream checks again.
//   - A secret is never printed: Secret and URL show a redacted form to fmt, slog
//     and every encoder; Reveal is the one way to the text.
//   - The struct tags of Config are the only list of settings. Names, variables,
//     defaults, documentation and the list of what needs a restart follow from it.
//   - A changed file is applied whole or refused whole.
package config
