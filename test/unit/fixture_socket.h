/* fixture_socket: what a client of a few lines hears. */
#ifndef FIXTURE_SOCKET_H
#define FIXTURE_SOCKET_H

#include "base/buf.h"

/* All that comes until the other side closes, and closes. */
void socket_hear(int fd, struct buf *reply);

#endif
