/* fixture_socket: a client of bare sockets, of this machine's servers. */
#ifndef FIXTURE_SOCKET_H
#define FIXTURE_SOCKET_H

#include <stdbool.h>

#include "base/buf.h"

/* Connected to that port; −1: not. */
int socket_to(int port);
/* All of it; false: the other side has cut it off, which what is heard says too. */
bool socket_say(int fd, const char *bytes, size_t n);
/* All that comes until the other side closes, and closes. */
void socket_hear(int fd, struct buf *reply);
/* Closes it so that the other side gets a reset. */
void socket_reset(int fd);
/* Says it and hears all of the reply: its status, 0 where there is none. */
int socket_ask(int port, const char *bytes, size_t n, struct buf *reply);

#endif
