/* test_http_later: replies that come later, from other threads: whole, in pieces, to clients that have left, and when
 * the server stops before they came. What would break: a reply that is lost, mixed with another's or sent twice, a
 * client that left and is not noticed, a stop that waits for ever. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../test.h"
#include "fixture_socket.h"
#include "base/mem.h"
#include "serve/http.h"

enum { CLIENTS = 24, PIECES = 40, MOST = 64 };

/* Requests that are to be replied to, in the order in which they came. */
struct later_bench {
	struct test *t;
	struct http *h;
	pthread_mutex_t lock;
	pthread_cond_t came;
	struct { struct http_later *later; int number; } list[MOST];
	int n, taken;
};

static void answer(void *ctx, const struct http_request *q, struct http_reply *r)
{
	struct later_bench *b = ctx;
	const char *number = http_query(q, "n");
	(void)r;

	pthread_mutex_lock(&b->lock);
	b->list[b->n].later = http_later(q);
	b->list[b->n++].number = number ? (int)strtol(number, NULL, 10) : -1;
	pthread_cond_signal(&b->came);
	pthread_mutex_unlock(&b->lock);
}

/* The next of them; waits for it. */
static struct http_later *next(struct later_bench *b, int *number)
{
	pthread_mutex_lock(&b->lock);
	while (b->taken == b->n)
		pthread_cond_wait(&b->came, &b->lock);
	struct http_later *l = b->list[b->taken].later;
	*number = b->list[b->taken++].number;
	pthread_mutex_unlock(&b->lock);
	return l;
}

static void reply_whole(struct http_later *l, int number)
{
	struct http_reply r = { 200, "application/json" };

	buf_addf(&r.body, "{\"whole\": %d}", number);
	http_later_reply(l, &r);
}

/* The text that a client with that number gets in pieces. */
static void piece_of(int number, int i, char out[32]) { snprintf(out, 32, "%d.%d;", number, i); }

static void reply_growing(struct http_later *l, int number)
{
	struct http_reply head = { 200, "text/event-stream" };
	char piece[32];

	http_later_begin(l, &head);
	for (int i = 0; i < PIECES; i++) {
		piece_of(number, i, piece);
		http_later_add(l, piece, strlen(piece));
	}
	http_later_end(l);
}

/* Two of them reply. */
static void *reply_all(void *ctx)
{
	struct later_bench *b = ctx;

	for (int i = 0, number; i < CLIENTS / 2; i++) {
		struct http_later *l = next(b, &number);
		(number % 2 ? reply_growing : reply_whole)(l, number);
	}
	return NULL;
}

/* --- clients --- */

static int request(const struct http *h, int number)
{
	char text[200];
	int fd = socket_to(http_port(h));

	snprintf(text, sizeof(text), "GET /x?n=%d HTTP/1.1\r\nHost: localhost:%d\r\nConnection: close\r\n\r\n", number,
	         http_port(h));
	socket_say(fd, text, strlen(text));
	return fd;
}

/* The pieces in their order, with nothing of another's; a chunk may end anywhere. */
static bool has_pieces(const char *text, int number)
{
	const char *at = strstr(text, "\r\n\r\n");
	char piece[32];

	for (int i = 0; at && i < PIECES; i++) {
		piece_of(number, i, piece);
		at = strstr(at, piece);
	}
	return at && !strstr(at + 1, ".0;");
}

static void test_replies(struct later_bench *b)
{
	struct buf reply = BUF_INIT;
	pthread_t threads[2];
	int fds[CLIENTS];
	char whole[32];

	test_case(b->t, "two threads reply to many clients, whole and in pieces");
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, reply_all, b);
	for (int i = 0; i < CLIENTS; i++)
		fds[i] = request(b->h, i);
	for (int i = 0; i < CLIENTS; i++) {
		socket_hear(fds[i], &reply);
		snprintf(whole, sizeof(whole), "{\"whole\": %d}", i);
		CHECK_MSG(b->t, i % 2 ? has_pieces(buf_str(&reply), i) : strstr(buf_str(&reply), whole) != NULL,
		          "client %d got %s", i, buf_str(&reply));
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	buf_release(&reply);
}

static void test_leaving(struct later_bench *b)
{
	struct http_reply head = { 200, "text/event-stream" };
	int number, fd = request(b->h, 7);
	struct http_later *l = next(b, &number);

	test_case(b->t, "who left is noticed, before a reply and in the middle of one; the reply ends all the same");
	CHECK(b->t, !http_later_left(l));
	close(fd);
	while (!http_later_left(l))
		http_tick(b->h);
	reply_whole(l, number);
	fd = request(b->h, 9);
	l = next(b, &number);
	http_later_begin(l, &head);
	http_later_add(l, "one", 3);
	close(fd);
	while (!http_later_left(l)) {
		http_later_add(l, "more", 4);
		http_tick(b->h);
	}
	http_later_end(l);
}

static void test_stop(struct later_bench *b)
{
	struct http_reply head = { 200, "text/event-stream" };
	struct buf reply = BUF_INIT;
	int number, fd[2] = { request(b->h, 1), request(b->h, 2) };
	struct http_later *first = next(b, &number), *second = next(b, &number);

	test_case(b->t, "a stop tells those that wait, and what comes afterwards goes nowhere");
	http_later_begin(second, &head);
	http_later_add(second, "a part", 6);
	http_stop(b->h);
	for (int i = 0; i < 2; i++) {
		socket_hear(fd[i], &reply);
		CHECK_MSG(b->t, strstr(buf_str(&reply), "503") || !strstr(buf_str(&reply), "late"), "%s",
		          buf_str(&reply));
	}
	reply_whole(first, 1);
	http_later_add(second, "late", 4);
	http_later_end(second);
	buf_release(&reply);
}

void test_http_later(struct test *t)
{
	struct err e = ERR_INIT;
	struct later_bench b = { .t = t, .lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER };

	test_case(t, "it starts");
	struct http_options how = { .address = "127.0.0.1", .answer = answer, .ctx = &b };
	int status = http_start(&b.h, &how, &e);
	CHECK_MSG(t, status == 0, "%s", e.msg);
	if (status < 0)
		return;
	test_replies(&b);
	test_leaving(&b);
	test_stop(&b);
}
