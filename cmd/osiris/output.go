package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/osiris/osiris/internal/client"
	"github.com/osiris/osiris/internal/progress"
	"github.com/osiris/osiris/internal/service"
)

// outputs are where the answers of a batch go, and its errors: a file each, or both to
// standard output ("-"), a device or a pipe.
type outputs struct{ answers, errors string }

// outputsOf returns what --output asks for; without it, files whose names begin with
// base. The error names a place that cannot be, such as the file of requests, input.
func outputsOf(output, base, input string) (outputs, error) {
	o := outputs{base + ".output.jsonl", base + ".errors.jsonl"}
	if output != "" {
		o = outputs{output, errorsBeside(output)}
	}
	for _, path := range []string{o.answers, o.errors} {
		info, err := os.Stat(path)
		if path == stdin || err != nil {
			continue
		}
		if info.IsDir() {
			return o, &exitError{exitUsage, path + " is a directory: name a file with --output"}
		}
		if requests, err := os.Stat(input); err == nil && os.SameFile(info, requests) {
			return o, &exitError{exitUsage, path + " has the requests, which the results would replace: name another file with --output"}
		}
	}
	return o, nil
}

// errorsBeside is where the errors go when the answers go to output.
func errorsBeside(output string) string {
	if output == "-" || isSpecial(output) {
		return output
	}
	ext := filepath.Ext(output)
	return strings.TrimSuffix(output, ext) + ".errors" + firstOf(ext, ".jsonl")
}

// isSpecial reports whether path is a device or a pipe, which is written to and not
// replaced.
func isSpecial(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular() && !info.IsDir()
}

// behindLinks is the file that path names by symbolic links, there or not.
func behindLinks(path string) string {
	if file, err := filepath.EvalSymlinks(path); err == nil {
		return file
	}
	link, err := os.Readlink(path)
	switch {
	case err != nil:
		return path
	case filepath.IsAbs(link):
		return link
	}
	return filepath.Join(filepath.Dir(path), link)
}

// download stores a file at path, or writes it to where path leads.
func download(ctx context.Context, api *client.Client, id, path string, std service.IO) error {
	bar := progress.New(std.Stderr, "downloading", progress.Bytes)
	defer bar.Done()
	got := func(done, total int64) {
		if done < total { // a file that comes at once needs no bar
			bar.Set(done, total, "")
		}
	}
	if path == "-" {
		_, err := api.Fetch(ctx, id, std.Stdout, 0, got)
		return err
	}
	if isSpecial(path) {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = api.Fetch(ctx, id, f, 0, got)
		if closed := f.Close(); err == nil {
			err = closed
		}
		return err
	}
	_, err := os.Stat(path)
	replaces := err == nil
	if err := api.Download(ctx, id, behindLinks(path), got); err != nil {
		return err
	}
	if replaces {
		fmt.Fprintf(std.Stderr, "%s was replaced\n", path)
	}
	return nil
}
