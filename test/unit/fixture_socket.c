/* fixture_socket: see fixture_socket.h. */
#include "fixture_socket.h"

#include <sys/socket.h>
#include <unistd.h>

void socket_hear(int fd, struct buf *reply)
{
	char piece[4096];
	ssize_t n;

	buf_clear(reply);
	while ((n = recv(fd, piece, sizeof(piece), 0)) > 0)
		buf_add(reply, piece, (size_t)n);
	close(fd);
}
