package natstest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
)

// program is a node in a process of its own.
type program struct {
	cmd *exec.Cmd

	mu  sync.Mutex // one question at a time
	in  io.WriteCloser
	out *bufio.Scanner
}

// The words of a node and of whoever asks it.
const (
	ready      = "ready"
	yes        = "yes"
	askCurrent = "current"
	askLeads   = "leads "
)

// ServeNode runs the node that config, JSON, describes until in ends.
func ServeNode(config string, in io.Reader, out io.Writer) error {
	var c nodeConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return fmt.Errorf("read node: %w", err)
	}
	n, err := startEmbedded(&c)
	if err != nil {
		return err
	}
	defer n.stop()
	if _, err := fmt.Fprintln(out, ready); err != nil {
		return err
	}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		answer := "no"
		stream, leads := strings.CutPrefix(lines.Text(), askLeads)
		if leads && n.leads(stream) || lines.Text() == askCurrent && n.current() {
			answer = yes
		}
		if _, err := fmt.Fprintln(out, answer); err != nil {
			return err
		}
	}
	return nil
}

// CopySelf copies the running program to a file.
func CopySelf(file string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	data, err := os.ReadFile(self)
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o700)
}

// programs holds the program of nodes, made when the first one starts.
var programs struct {
	sync.Mutex

	dir, file string
}

// programFile returns the program of nodes. The go command keeps what it has linked to
// run, unlike what it builds: so all but the first test binary get a copy.
func programFile() (string, error) {
	programs.Lock()
	defer programs.Unlock()
	if programs.file != "" {
		return programs.file, nil
	}
	if programs.dir == "" {
		dir, err := os.MkdirTemp("", "osiris-natsnode-")
		if err != nil {
			return "", err
		}
		programs.dir = dir
	}
	file := filepath.Join(programs.dir, "natsnode")
	cmd := exec.Command("go", "run", "-race=false", "github.com/osiris/osiris/pkg/jobs/internal/natstest/natsnode", "copy", file)
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build natsnode: %w\n%s", err, said)
	}
	programs.file = file
	return file, nil
}

func removeProgram() {
	programs.Lock()
	defer programs.Unlock()
	if programs.dir != "" {
		_ = os.RemoveAll(programs.dir)
		programs.dir, programs.file = "", ""
	}
}

func startProgram(c *nodeConfig) (node, error) {
	file, err := programFile()
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	p := &program{cmd: exec.Command(file, "run", string(config))}
	p.cmd.Stderr = os.Stderr
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.out = bufio.NewScanner(out)
	if !p.out.Scan() || p.out.Text() != ready {
		p.stop()
		return nil, errors.New("the program ended")
	}
	return p, nil
}

func (p *program) current() bool            { return p.ask(askCurrent) }
func (p *program) leads(stream string) bool { return p.ask(askLeads + stream) }

func (p *program) ask(question string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := fmt.Fprintln(p.in, question)
	return err == nil && p.out.Scan() && p.out.Text() == yes
}

func (p *program) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.in.Close()
	_ = p.cmd.Wait() // what it has to say is on standard error
}
