/* fixture_socket: see fixture_socket.h. */
#include "fixture_socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int socket_to(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
		                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&a, sizeof(a))) {
		close(fd);
		return -1;
	}
	return fd;
}

bool socket_say(int fd, const char *bytes, size_t n)
{
	for (ssize_t some; n; bytes += some, n -= (size_t)some)
		if ((some = send(fd, bytes, n, MSG_NOSIGNAL)) < 0)
			return false;
	return true;
}

void socket_hear(int fd, struct buf *reply)
{
	char piece[4096];
	ssize_t n;

	buf_clear(reply);
	while ((n = recv(fd, piece, sizeof(piece), 0)) > 0)
		buf_add(reply, piece, (size_t)n);
	close(fd);
}

void socket_reset(int fd)
{
	struct linger at_once = { 1, 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(fd);
}

int socket_ask(int port, const char *bytes, size_t n, struct buf *reply)
{
	int fd = socket_to(port), status = 0;

	socket_say(fd, bytes, n);
	socket_hear(fd, reply);
	return sscanf(buf_str(reply), "HTTP/1.1 %d", &status) == 1 ? status : 0;
}
