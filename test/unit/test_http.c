/* test_http: the wrapper, asked by a client of bare sockets. What would break: a page elsewhere that reads (a Host that
 * is not ours) or changes something (an Origin that is not ours), a body that is too large, whose end is said twice, or
 * that is no JSON; a request that never ends; a reply without its headers; a client that does not get its turn. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../held/held.h"
#include "../test.h"
#include "fixture_socket.h"
#include "base/mem.h"
#include "serve/http.h"

/* Says what was asked. */
static void echo(void *ctx, const struct http_request *q, struct http_reply *r)
{
	(void)ctx;
	buf_addf(&r->body, "%s %s %s %s", q->method, q->path, q->bearer ? q->bearer : "-", q->body);
}

static bool admit(void *ctx, const struct http_request *q, struct http_reply *r)
{
	(void)ctx;
	if (!q->bearer || strcmp(q->bearer, "no"))
		return true;
	http_error(r, 401, "token", "no");
	return false;
}

static int connected(const struct http *h) { return socket_to(http_port(h)); }

static void say(int fd, const char *text) { socket_say(fd, text, strlen(text)); }

static int ask(const struct http *h, const char *request, struct buf *reply)
{
	return socket_ask(http_port(h), request, strlen(request), reply);
}

#define POST "POST /x HTTP/1.1\r\nConnection: close\r\n"
#define JSON "Content-Type: application/json\r\n"
#define NOT "Authorization: Bearer no\r\n"
#define TWO "Content-Length: 2\r\n\r\n{}"

/* %d: the port. */
static const struct { const char *what, *request; int status; } requests[] = {
	{ "our own host", "GET / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n", 200 },
	{ "a name of ours", "GET / HTTP/1.1\r\nHost: LOCALHOST:%d\r\nConnection: close\r\n\r\n", 200 },
	{ "IPv6's", "GET / HTTP/1.1\r\nHost: [::1]:%d\r\nConnection: close\r\n\r\n", 200 },
	{ "an allowed name", "GET / HTTP/1.1\r\nHost: lab.example:%d\r\nConnection: close\r\n\r\n", 200 },
	{ "another host", "GET / HTTP/1.1\r\nHost: evil.example:%d\r\n\r\n", 421 },
	{ "one that begins as ours", "GET / HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n", 421 },
	{ "one of another port", "GET / HTTP/1.1\r\nHost: localhost:1\r\n\r\n", 421 },
	{ "one without a port", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 421 },
	{ "a proxy's", POST "Host: lab.example\r\nOrigin: https://lab.example\r\n" JSON TWO, 200 },
	{ "two hosts", "GET / HTTP/1.1\r\nHost: localhost:%d\r\nHost: evil.example\r\n\r\n", 400 },
	{ "our own page", POST "Host: localhost:%d\r\nOrigin: http://localhost:%d\r\n" JSON TWO, 200 },
	{ "no page", POST "Host: localhost:%d\r\n" JSON TWO, 200 },
	{ "a foreign page", POST "Host: localhost:%d\r\nOrigin: http://evil.example\r\n" JSON TWO, 403 },
	{ "one that begins as ours", POST "Host: localhost:%d\r\nOrigin: http://localhost.evil\r\n" JSON TWO, 403 },
	{ "a page without a name", POST "Host: localhost:%d\r\nOrigin: null\r\n" JSON TWO, 403 },
	{ "another scheme", POST "Host: localhost:%d\r\nOrigin: https://localhost:%d\r\n" JSON TWO, 403 },
	{ "no JSON", POST "Host: localhost:%d\r\nContent-Type: text/plain\r\n" TWO, 415 },
	{ "a form", POST "Host: localhost:%d\r\nContent-Type: application/x-www-form-urlencoded\r\n" TWO, 415 },
	{ "a body of unknown length", POST "Host: localhost:%d\r\n" JSON "\r\n", 411 },
	{ "a body too large", POST "Host: localhost:%d\r\n" JSON "Content-Length: 1048577\r\n\r\n", 413 },
	{ "two lengths", POST "Host: localhost:%d\r\n" JSON "Content-Length: 2\r\n" TWO, 400 },
	{ "chunks", POST "Host: localhost:%d\r\n" JSON "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 400 },
	{ "chunks and a length", POST "Host: localhost:%d\r\n" JSON "Transfer-Encoding: chunked\r\n" TWO, 400 },
	{ "a folded length", POST "Host: localhost:%d\r\n" JSON "Content-Length: 2\r\n 9\r\n\r\n{}", 400 },
	{ "chunks behind a fold", POST "Host: localhost:%d\r\n" JSON "Transfer-Encoding:\r\n chunked\r\n" TWO, 400 },
	{ "chunks with a space", POST "Host: localhost:%d\r\n" JSON "Transfer-Encoding : chunked\r\n" TWO, 400 },
	{ "a fold", "GET / HTTP/1.1\r\nHost: localhost:%d\r\nX: y\r\n z\r\n\r\n", 400 },
	{ "chunks after a bare line feed", POST "Host: localhost:%d\r\nX: y\nTransfer-Encoding: chunked\r\n" TWO, 400 },
	{ "a bare line feed", "GET / HTTP/1.1\r\nHost: localhost:%d\nX: y\r\n\r\n", 400 },
	{ "one at the end", "GET / HTTP/1.1\r\nHost: localhost:%d\n\r\n", 400 },
	{ "one at the beginning", "GET / HTTP/1.1\nHost: localhost:%d\r\n\r\n", 400 },
	{ "bare line feeds alone", "GET / HTTP/1.1\nHost: localhost:%d\n\n", 400 },
	{ "a bare carriage return", "GET / HTTP/1.1\r\nHost: localhost:%d\r\nX: y\rTe: z\r\n\r\n", 400 },
	{ "who may not", POST "Host: localhost:%d\r\n" NOT "Content-Length: 9999999\r\n\r\n", 401 },
	{ "chunks of who may not", POST "Host: localhost:%d\r\n" NOT "Transfer-Encoding: chunked\r\n" TWO, 400 },
	{ "a foreign page of who may not", POST "Host: localhost:%d\r\nOrigin: http://x\r\n" NOT TWO, 403 },
	{ "spaces", "GET / HTTP/1.1\r\nHost:\t localhost:%d\r\nX:y  \r\nConnection:close\r\n\r\n", 200 },
	{ "a GET with a body", "GET / HTTP/1.1\r\nHost: localhost:%d\r\nContent-Length: 2\r\n\r\n{}", 400 },
};

/* A long head that comes in pieces: it is of whole lines, however the library found room for it. */
static void test_long(struct test *t, const struct http *h, struct buf *reply)
{
	char text[256];
	int fd = connected(h);

	test_case(t, "a long head");
	say(fd, "GET / HTTP/1.1\r\n");
	for (int i = 0; i < 60; i++) {
		snprintf(text, sizeof(text), "X-%d: %0128d\r\n", i, i);
		say(fd, text);
	}
	snprintf(text, sizeof(text), "Host: localhost:%d\r\nConnection: close\r\n\r\n", http_port(h));
	say(fd, text);
	socket_hear(fd, reply);
	CHECK_MSG(t, !strncmp(buf_str(reply), "HTTP/1.1 200 ", 13), "%s", buf_str(reply));
}

static void test_requests(struct test *t, const struct http *h)
{
	struct buf reply = BUF_INIT;
	char text[512];

	for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
		test_case(t, "%s", requests[i].what);
		snprintf(text, sizeof(text), requests[i].request, http_port(h), http_port(h));
		int status = ask(h, text, &reply);
		CHECK_MSG(t, status == requests[i].status, "%d for\n%s", status, text);
		CHECK(t, strcasestr(buf_str(&reply), "\r\nX-Content-Type-Options: nosniff\r\n"));
		CHECK(t, strcasestr(buf_str(&reply), "\r\nContent-Security-Policy: default-src 'none'"));
		CHECK(t, strcasestr(buf_str(&reply), "\r\nCache-Control: no-store\r\n"));
		CHECK(t, !strcasestr(buf_str(&reply), "Access-Control"));
	}
	test_case(t, "a 401 says how one is let in, its connection ends");
	snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: localhost:%d\r\n" NOT "\r\n", http_port(h));
	CHECK(t, ask(h, text, &reply) == 401 && strcasestr(buf_str(&reply), "\r\nWWW-Authenticate: Bearer\r\n"));
	test_case(t, "no host");
	CHECK(t, ask(h, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n", &reply) == 400);
	test_long(t, h, &reply);
	test_case(t, "what is asked is told");
	snprintf(text, sizeof(text), "POST /a?b=c HTTP/1.1\r\nHost: localhost:%d\r\nConnection: close\r\n" JSON
	         "Authorization: Bearer tok\r\nContent-Length: 7\r\n\r\n{\"a\":1}", http_port(h));
	ask(h, text, &reply);
	CHECK_MSG(t, strstr(buf_str(&reply), "\r\n\r\nPOST /a tok {\"a\":1}"), "%s", buf_str(&reply));
	buf_release(&reply);
}

/* Bytes one by one, and a body that stops: when patience is over the connection is, and others are served meanwhile. */
static void test_slow(struct test *t, struct http *h)
{
	struct buf reply = BUF_INIT;
	char text[256];
	int head = connected(h), body = connected(h);

	test_case(t, "half a request is not waited for for ever");
	snprintf(text, sizeof(text), POST "Host: localhost:%d\r\n" JSON "Content-Length: 9\r\n\r\n{", http_port(h));
	say(head, "GET / HT");
	say(body, text);
	snprintf(text, sizeof(text), requests[0].request, http_port(h));
	CHECK(t, ask(h, text, &reply) == 200);
	held_pass(HTTP_PATIENCE - 1, 0);
	http_tick(h);
	say(head, "T");
	held_pass(2, 0);
	http_tick(h);
	socket_hear(head, &reply);
	CHECK_MSG(t, !strstr(buf_str(&reply), " 200 "), "%s", buf_str(&reply));
	socket_hear(body, &reply);
	CHECK_MSG(t, !strstr(buf_str(&reply), " 200 "), "%s", buf_str(&reply));
	CHECK(t, ask(h, text, &reply) == 200);
	buf_release(&reply);
}

static void test_many(struct test *t, const struct http *h)
{
	struct buf reply = BUF_INIT;
	char text[256];
	int fd[200];

	test_case(t, "many connections that say nothing keep nobody from his turn");
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		CHECK(t, (fd[i] = connected(h)) >= 0);
	snprintf(text, sizeof(text), requests[0].request, http_port(h));
	CHECK(t, ask(h, text, &reply) == 200);
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		close(fd[i]);
	CHECK(t, ask(h, text, &reply) == 200);
	buf_release(&reply);
}

/* Where there are so many, who says nothing is cut off soon, and who asks gets his turn. Bodies are held as far as
 * there is room for all. */
static void test_crowd(struct test *t)
{
	struct http_options o = { .address = "127.0.0.1", .connections = 8, .patience = 1e6, .bodies_max = 200 << 10,
		                  .answer = echo };
	struct buf reply = BUF_INIT, large = BUF_INIT;
	struct err e = ERR_INIT;
	struct http *h = NULL;
	char text[256];
	int fd[12];

	test_case(t, "a crowd that says nothing is cut off sooner, bodies that never end are cut off beyond a bound");
	CHECK_MSG(t, http_start(&h, &o, &e) == 0, "%s", e.msg);
	if (!h)
		return;
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		CHECK(t, (fd[i] = connected(h)) >= 0);
	socket_say(fd[0], "G", 1);
	snprintf(text, sizeof(text), requests[0].request, http_port(h));
	int last = connected(h);
	say(last, text);
	char byte;
	while (recv(last, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0) { /* until the library has seen the first ones */
		held_pass(HTTP_HURRY + 1, 0);
		http_tick(h);
	}
	socket_hear(last, &reply);
	CHECK_MSG(t, strstr(buf_str(&reply), " 200 "), "%s", buf_str(&reply));
	socket_hear(fd[0], &reply);
	CHECK(t, !strstr(buf_str(&reply), " 200 "));
	for (size_t i = 1; i < ARRAY_LEN(fd); i++)
		close(fd[i]);

	buf_addf(&large, POST "Host: localhost:%d\r\n" JSON "Content-Length: 150001\r\n\r\n{", http_port(h));
	for (int i = 0; i < 150000 - 1; i++)
		buf_addc(&large, ' ');
	fd[0] = connected(h);
	socket_say(fd[0], buf_str(&large), large.len);
	buf_addc(&large, '}');
	int status;
	do /* until both have come, and one of them is cut off */
		status = socket_ask(http_port(h), buf_str(&large), large.len, &reply);
	while (status == 200 && recv(fd[0], &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN);
	CHECK_MSG(t, status == 0 || status == 200, "%d", status);
	snprintf(text, sizeof(text), POST "Host: localhost:%d\r\n" JSON TWO, http_port(h));
	CHECK(t, ask(h, text, &reply) == 200);
	close(fd[0]);
	buf_release(&large);
	buf_release(&reply);
	http_stop(h);
}

/* What is a hundred times as large as what came is not made of it. */
static void test_json(struct test *t)
{
	struct buf body = BUF_INIT;
	struct http_reply r = { 200 };

	test_case(t, "JSON of too many values is refused before it is read; in a text nothing is counted");
	for (int i = 0; i < 3; i++) {
		buf_clear(&body);
		buf_adds(&body, "{\"a\": [\"");
		for (int j = 0; j < (i == 0 ? HTTP_VALUES : 2 * HTTP_DEPTH); j++)
			buf_adds(&body, i == 1 ? "\\\",[" : i == 0 ? "\",\"" : "[");
		buf_adds(&body, "\"]}");
		struct http_request q = { .body = buf_str(&body), .n_body = body.len };
		json_t *j = http_json(&q, &r);
		CHECK_MSG(t, i ? j != NULL : !j && strstr(buf_str(&r.body), "values, at most"), "%d", i);
		json_decref(j);
		buf_clear(&r.body);
	}
	buf_release(&r.body);
	buf_release(&body);
}

static void test_address(struct test *t, const struct http *h)
{
	struct http_options taken = { .address = "127.0.0.1", .port = http_port(h), .answer = echo };
	struct http_options none = { .address = "here", .answer = echo };
	struct http *other = NULL;
	struct err e = ERR_INIT;

	test_case(t, "an address that is taken, one that is none");
	CHECK(t, http_start(&other, &taken, &e) < 0 && strstr(e.msg, "cannot be served on: Address already in use"));
	CHECK(t, http_start(&other, &none, &e) < 0 && !strcmp(e.msg, "here is no IP address"));
}

void test_http(struct test *t)
{
	static const char *const allowed[] = { "lab.example" };
	struct http_options o = { .address = "127.0.0.1", .hosts = allowed, .n_hosts = 1, .admit = admit,
		                  .answer = echo };
	struct err e = ERR_INIT;
	struct http *h = NULL;

	held_begin();
	test_case(t, "it starts");
	CHECK_MSG(t, http_start(&h, &o, &e) == 0, "%s", e.msg);
	if (h) {
		test_requests(t, h);
		test_slow(t, h);
		test_many(t, h);
		test_crowd(t);
		test_json(t);
		test_address(t, h);
	}
	http_stop(h);
	held_end();
}
