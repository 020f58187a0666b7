// The applications, as data. Each has:
//
//   name, pip | npm | apt   what is installed; the version of the first package is that of the application
//   ci                      whether it installs in seconds, and is part of `--ci`
//   start                   returns the command, its environment, and commands that it needs before it
//   ready                   a path that answers once the application is up, unless that is /
//   use                     the steps of a user; `visit` opens a page, `mark` is a word to send. What it returns
//                           has to be the same directly and through wstap
//   works                   what the steps have shown, for the table
//   tap                     connections that the tap must show: path, subprotocol, transport (WebSocket), and
//                           whose messages contain the mark (or `text`; null: nothing legible), in `both` directions

import { node } from "./applications/node.mjs";
import { protocols } from "./applications/protocols.mjs";
import { python } from "./applications/python.mjs";

export const applications = [...python, ...node, ...protocols];
