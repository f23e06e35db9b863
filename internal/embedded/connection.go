package embedded

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Connection is how other programs of this machine reach a running server.
type Connection struct {
	URL   string `json:"url"`
	Token string `json:"token"`
	PID   int    `json:"pid"`
}

const connectionFile = "connection.json"

// ReadConnection returns what the process that holds the data folder wrote. The
// error is fs.ErrNotExist when no server runs there, or one without a listener.
func ReadConnection(dir string) (Connection, error) {
	var c Connection
	data, err := os.ReadFile(filepath.Join(dir, connectionFile))
	if err != nil {
		return c, fmt.Errorf("read connection: %w", err)
	}
	if err := json.Unmarshal(data, &c); err != nil {
		return c, fmt.Errorf("read connection: %s: %w", connectionFile, err)
	}
	return c, nil
}

func writeConnection(dir string, c Connection) error {
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(dir, connectionFile), append(data, '\n')); err != nil {
		return fmt.Errorf("write connection: %w", err)
	}
	return nil
}

func removeConnection(dir string) error {
	err := os.Remove(filepath.Join(dir, connectionFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// token returns the folder's token, made at first use. It stays the same, so that
// workers elsewhere survive a restart.
func token(dir string) (string, error) {
	file := filepath.Join(dir, "token")
	data, err := os.ReadFile(file)
	if text := strings.TrimSpace(string(data)); err == nil && text != "" {
		return text, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read token: %w", err)
	}
	text := rand.Text()
	if err := replaceFile(file, []byte(text+"\n")); err != nil {
		return "", fmt.Errorf("write token: %w", err)
	}
	return text, nil
}

// replaceFile writes a file that only its owner can read, whole or not at all.
func replaceFile(file string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
