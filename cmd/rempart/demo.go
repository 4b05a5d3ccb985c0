package main

import (
	"context"
	"io"
	"log/slog"

	"github.com/rempart/rempart/internal/app"
	"github.com/rempart/rempart/internal/demo"
	"github.com/rempart/rempart/internal/web"
)

type demoCommand struct {
	Addr         string   `default:"127.0.0.1:8080" help:"Address and port on this machine; port 0 picks one."`
	Data         string   `help:"Folder to keep everything in; without it a temporary one, removed at a clean exit." placeholder:"DIR"`
	Ready        string   `help:"File to write, as JSON, when everything is up." placeholder:"FILE"`
	RedirectURI  []string `name:"redirect-uri" help:"A further redirect URI of the clients web, web-2 and spa." placeholder:"URI"`
	Users        int      `help:"Add as many plain members to the first organization." placeholder:"N"`
	Profile      string   `enum:",dastra,kreo,talkspirit" default:"" help:"Profile of the trust page: dastra, kreo or talkspirit." placeholder:"NAME"`
	Database     string   `help:"Administrator's URL of a PostgreSQL cluster, instead of the embedded database." placeholder:"URL"`
	KeysDatabase string   `help:"The same for the keys database." placeholder:"URL"`
	Pool         int      `help:"Connections to each database; without it by the number of cores." placeholder:"N"`
	Verbose      bool     `help:"Write the process log."`
}

// Run runs the demo until it is interrupted.
func (c *demoCommand) Run(ctx context.Context, s streams) error {
	tail := &app.Tail{}
	var out io.Writer = tail
	if c.Verbose {
		out = io.MultiWriter(s.err, tail)
	}
	return demo.Run(ctx, demo.Options{
		Addr: c.Addr, Data: c.Data, Ready: c.Ready, RedirectURIs: c.RedirectURI, Users: c.Users, Profile: c.Profile,
		Database: c.Database, KeysDatabase: c.KeysDatabase, Pool: c.Pool, Version: version, Out: s.out, Log: web.NewLogger(out, true, slog.LevelInfo),
		Tail: tail, Operate: listen,
	})
}
