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

/* --- large bodies --- */

struct apart_bench {
	pthread_mutex_t lock;
	pthread_cond_t came;
	int small, large; /* answered; begun */
};

/* A large one is over when two small ones were answered since it began; the next ones at once. */
static void answer_apart(void *ctx, const struct http_request *q, struct http_reply *r)
{
	struct apart_bench *b = ctx;
	const char *kind = http_query(q, "kind");

	pthread_mutex_lock(&b->lock);
	if (q->n_body > HTTP_BODY_SMALL) {
		b->large++;
		pthread_cond_broadcast(&b->came);
		while (b->small < 2)
			pthread_cond_wait(&b->came, &b->lock);
	} else {
		b->small++;
		pthread_cond_broadcast(&b->came);
	}
	pthread_mutex_unlock(&b->lock);
	buf_addf(&r->body, "{\"read\": %zu, \"kind\": \"%s\"}", q->n_body, kind ? kind : "");
	if (kind && !strcmp(kind, "later"))
		http_later_reply(http_later(q), r);
}

static int post(const struct http *h, const char *kind, size_t n)
{
	char head[300];
	int fd = socket_to(http_port(h));
	char *body = mem_alloc(n);

	memset(body, ' ', n);
	body[0] = '{';
	body[n - 1] = '}';
	snprintf(head, sizeof(head),
	         "POST /x?kind=%s HTTP/1.1\r\nHost: localhost:%d\r\nConnection: close\r\nContent-Type: "
	         "application/json\r\nContent-Length: %zu\r\n\r\n",
	         kind, http_port(h), n);
	socket_say(fd, head, strlen(head));
	socket_say(fd, body, n);
	mem_free(body);
	return fd;
}

static void check_reply(struct test *t, int fd, const char *wanted)
{
	struct buf reply = BUF_INIT;

	socket_hear(fd, &reply);
	CHECK_MSG(t, strstr(buf_str(&reply), wanted), "%s", buf_str(&reply));
	buf_release(&reply);
}

static void test_apart(struct test *t)
{
	struct err e = ERR_INIT;
	struct apart_bench b = { .lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER };
	struct http_options how = { .address = "127.0.0.1", .answer = answer_apart, .ctx = &b, .apart = true };
	struct http *h;

	test_case(t, "who asks for little is answered while a large body is");
	int status = http_start(&h, &how, &e);
	CHECK_MSG(t, status == 0, "%s", e.msg);
	if (status < 0)
		return;
	int large = post(h, "now", 100000), more = post(h, "later", 200000), gone = post(h, "gone", 300000);
	pthread_mutex_lock(&b.lock);
	while (!b.large)
		pthread_cond_wait(&b.came, &b.lock);
	pthread_mutex_unlock(&b.lock);
	close(gone);
	check_reply(t, post(h, "now", 2), "{\"read\": 2, \"kind\": \"now\"}");
	check_reply(t, post(h, "later", 2), "{\"read\": 2, \"kind\": \"later\"}");
	check_reply(t, large, "{\"read\": 100000, \"kind\": \"now\"}");
	check_reply(t, more, "{\"read\": 200000, \"kind\": \"later\"}");
	large = post(h, "now", 100000); /* whether it is read or not */
	http_stop(h);
	close(large);
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
	test_apart(t);
}
