// Command slackdev gives the Slack app on a laptop a public address, and keeps,
// shows, judges and repeats every request that Slack sends to it.
package main

import "os"

func main() { os.Exit(Main(os.Args[1:])) }
