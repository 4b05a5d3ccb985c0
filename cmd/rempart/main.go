// Command rempart is the whole product in one binary. `rempart --help` lists
// its commands; README.md begins with `rempart demo`.
//
// The package is thin: it reads flags and calls what the API calls. A command
// of an operator (operator.go) works on the installation of a data folder: in
// the process that owns the folder when one runs, else in its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

// version is set by the linker.
var version = "dev"

// commands are the commands and their flags.
type commands struct {
	Demo    demoCommand    `cmd:"" help:"Run the whole product on an embedded database, with two organizations and a sample application."`
	Serve   serveCommand   `cmd:"" help:"Run the server."`
	Check   checkCommand   `cmd:"" help:"Verify every invariant of the stored state."`
	Migrate migrateCommand `cmd:"" help:"Bring the databases to the schema of this release."`
	Setup   setupCommand   `cmd:"" help:"First start: the one-time link."`
	Org     orgCommand     `cmd:"" help:"Organizations."`
	User    userCommand    `cmd:"" help:"Users."`
	Client  clientCommand  `cmd:"" help:"Applications that people sign in to."`
	Token   tokenCommand   `cmd:"" help:"Bearer keys of programs."`
	Keys    keysCommand    `cmd:"" help:"Keys that data is sealed with."`
	Audit   auditCommand   `cmd:"" help:"The log: verify, export, prove."`
	Trust   trustCommand   `cmd:"" help:"Controls behind the trust page."`
	Verify  verifyCommand  `cmd:"" help:"Verify a proof, export, checkpoint, certificate or signed result, offline."`
	Docs    docsCommand    `cmd:"" help:"Write the catalogues of permissions, events, routes, controls, tables and settings."`
	Version versionCommand `cmd:"" help:"Print what was built."`
}

// streams are where a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// exit is an error with an exit code of its own and nothing more to say.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}

// run is main without the process: 0 is success, 1 a failure that is said on
// the error stream in one sentence, 2 a wrong command line.
func run(ctx context.Context, args []string, s streams) int {
	k, code := parse(ctx, args, s)
	if k == nil {
		return code
	}
	var err error
	if op, ok := k.Selected().Target.Addr().Interface().(operator); ok {
		err = perform(ctx, args, s, op)
	} else {
		err = k.Run()
	}
	return report(s.err, err)
}

// report says what went wrong, and gives the exit code.
func report(w io.Writer, err error) int {
	var e exit
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return int(e)
	}
	fmt.Fprintln(w, "rempart:", sentence(err))
	return 1
}

// parse reads a command line; the context is nil when there is nothing to run.
func parse(ctx context.Context, args []string, s streams) (k *kong.Context, code int) {
	var c commands
	c.Serve.Plugins = c.Serve.settings.flags()
	parser, err := kong.New(&c, kong.Name("rempart"), kong.Description("The security layer of a multi-tenant SaaS: sign-in, rules, keys, log and proof."),
		kong.Writers(s.out, s.err), kong.Exit(func(n int) { panic(exit(n)) }), kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(s))
	if err != nil {
		fmt.Fprintln(s.err, "rempart:", err)
		return nil, 2
	}
	defer func() {
		// This is kong's way to leave for --help.
		if r := recover(); r != nil {
			e, ok := r.(exit)
			if !ok {
				panic(r)
			}
			k, code = nil, int(e)
		}
	}()
	if k, err = parser.Parse(args); err != nil {
		fmt.Fprintf(s.err, "rempart: %v\nTry rempart --help.\n", err)
		return nil, 2
	}
	return k, 0
}
