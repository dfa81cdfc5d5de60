/* test_serve_hostile: the calls of `kungfu serve`, over a tiny model, asked by clients that are broken or hostile: what
 * tools/serve-abuse does for minutes, once each. What would break: a value that nobody thought of ends the server or is
 * answered as if it were another, a schema that explodes holds up everybody, a client that leaves or reads nothing
 * keeps what it took, the end waits for streams. After each shape an honest client gets the answer that it got
 * before. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../test.h"
#include "fixture_socket.h"
#include "base/io.h"
#include "base/mem.h"
#include "serve/openai.h"

#define JSON "Content-Type: application/json\r\n"
#define CLOSE "Connection: close\r\n"

enum { PARALLEL = 3, QUEUE = 40, CONTEXT = 64, STREAMS = 20, IN_A_ROW = 200 };

struct bench {
	struct test *t;
	struct pool *pool;
	struct device device;
	struct model model;
	struct session *session;
	struct engine *engine;
	struct keys *keys;
	struct openai *openai;
	struct http *http;
	pthread_t thread;
	atomic_bool over;
	struct buf honest, reply;
};

/* As cmd_serve has it. */
static void *turn(void *ctx)
{
	struct bench *s = ctx;
	struct err e = ERR_INIT;

	while (!s->over || engine_busy(s->engine)) {
		CHECK_MSG(s->t, engine_turn(s->engine, 0.01, &e) == 0, "%s", e.msg);
		http_tick(s->http);
		openai_sweep(s->openai, s->over);
	}
	return NULL;
}

static bool start(struct bench *s)
{
	static const char *const given[] = { "right" };
	struct err e = ERR_INIT;
	struct session_size size = { .n_ctx = CONTEXT, .n_sequences = 2 * PARALLEL, .n_logits = PARALLEL };
	char *path = io_join(test_golden(), "llama");

	s->pool = pool_new(1);
	s->device = device_cpu(kernels_get(NULL, &e), s->pool);
	bool ok = model_open(&s->model, path, &e) == 0 && model_tokenizer(&s->model, &e) == 0 &&
	          session_new(&s->session, &s->model, NULL, &s->device, &size, &e) == 0 &&
	          keys_new(&s->keys, &(struct keys_options){ .given = given, .n_given = 1 }, &e) == 0;
	mem_free(path);
	if (ok) {
		s->engine = engine_new(s->session, s->model.tokenizer, s->pool);
		batcher_limit(engine_batcher(s->engine), &(struct batcher_limits){
			.parallel = PARALLEL, .ranges = PARALLEL * session_ranges_full(s->session), .fair = true });
		s->openai = openai_new(&(struct openai_options){
			.engine = s->engine, .model = &s->model, .device = &s->device, .name = "llama", .path = "llama",
			.keys = s->keys, .context = CONTEXT, .parallel = PARALLEL, .queue = QUEUE });
		ok = http_start(&s->http,
		                &(struct http_options){ .address = "127.0.0.1", .admit = openai_admit,
		                                        .answer = openai_answer, .ctx = s->openai },
		                &e) == 0;
	}
	CHECK_MSG(s->t, ok, "%s", e.msg);
	return ok && pthread_create(&s->thread, NULL, turn, s) == 0;
}

/* A whole request; more: headers, each with its end. */
static void request(const struct bench *s, struct buf *out, const char *path, const char *more, const char *body,
                    size_t n)
{
	buf_clear(out);
	buf_addf(out, "POST %s HTTP/1.1\r\nHost: localhost:%d\r\nAuthorization: Bearer right\r\n%s" JSON
	              "Content-Length: %zu\r\n\r\n", path, http_port(s->http), more, n);
	buf_add(out, body, n);
}

static int ask(struct bench *s, const char *path, const char *body, size_t n)
{
	struct buf out = BUF_INIT;

	request(s, &out, path, CLOSE, body, n);
	int status = socket_ask(http_port(s->http), buf_str(&out), out.len, &s->reply);
	buf_release(&out);
	return status;
}

#define HONEST "{\"prompt\": [5, 17, 40], \"max_tokens\": 3, \"temperature\": 0}"

static void check_honest(struct bench *s)
{
	int status = ask(s, "/v1/completions", HONEST, strlen(HONEST));
	const char *text = strstr(buf_str(&s->reply), "\"text\": "), *end = text ? strstr(text, "\", \"") : NULL;

	CHECK_MSG(s->t, status == 200 && end, "%d %s", status, buf_str(&s->reply));
	if (end && !s->honest.len)
		buf_add(&s->honest, text, (size_t)(end - text));
	else if (end)
		CHECK_MSG(s->t, !strncmp(text, buf_str(&s->honest), s->honest.len), "another answer: %s", text);
}

/* --- values --- */

#define A "\"prompt\": \"a\", \"max_tokens\": 2"

/* Of /v1/completions, but where a path stands before. */
static const struct { const char *body, *path; int status; } values[] = {
	{ "{\"prompt\": [1099511627776]}", NULL, 400 },
	{ "{\"prompt\": [-1]}", NULL, 400 },
	{ "{\"prompt\": [1, 0.5]}", NULL, 400 },
	{ "{\"prompt\": [[]]}", NULL, 400 },
	{ "{\"prompt\": []}", NULL, 400 },
	{ "{\"prompt\": {\"a\": 1}}", NULL, 400 },
	{ "{\"prompt\": \"a\", \"n\": 1152921504606846976}", NULL, 400 },
	{ "{\"prompt\": \"a\", \"n\": 129}", NULL, 400 },
	{ "{\"prompt\": \"a\", \"max_tokens\": 4611686018427387904}", NULL, 400 },
	{ "{\"prompt\": \"a\", \"logprobs\": 21}", NULL, 400 },
	{ "{\"prompt\": \"a\", \"logit_bias\": {\"1099511627776\": 1}}", NULL, 400 },
	{ "{\"prompt\": \"a\", \"logit_bias\": {\"\": 1}}", NULL, 400 },
	{ "{\"prompt\": \"a\", \"seed\": 1e300}", NULL, 400 },
	{ "{\"prompt\": \"a\", \"temperature\": 1e300}", NULL, 400 },
	{ "{\"prompt\": \"a\", \"stop\": [1]}", NULL, 400 },
	{ "{\"prompt\": \"a\", \"model\": \"../../etc/passwd\"}", NULL, 404 },
	{ "{\"prompt\": \"a\", \"model\": []}", NULL, 400 },
	{ "{\"prompt\": \"\\ud800\"}", NULL, 400 },
	{ "{\"prompt\": \"a\\u0000b\", \"max_tokens\": 2}", NULL, 400 },
	{ "{" A ", \"grammar\": \"root ::= root\"}", NULL, 400 },
	{ "{" A ", \"grammar\": \"root ::= (((((\\\"a\\\"{1,99}){1,99}){1,99}){1,99}){1,99}){1,99}\"}", NULL, 200 },
	{ "{" A ", \"structured_outputs\": {\"regex\": \"((a{1,999}){1,999}){1,999}\"}}", NULL, 400 },
	{ "{" A ", \"structured_outputs\": {\"regex\": \"(a+)+(a+)+(a|a)*(a|aa)*\"}}", NULL, 200 },
	{ "{" A ", \"json_schema\": {\"$ref\": \"#\"}}", NULL, 400 },
	{ "{" A ", \"json_schema\": {\"type\": \"string\", \"maxLength\": 99999999999}}", NULL, 400 },
	{ "{\"messages\": [5]}", "/v1/chat/completions", 400 },
	{ "{\"input\": [[1099511627776]]}", "/v1/embeddings", 400 },
	{ "{\"tokens\": [1099511627776, -1]}", "/detokenize", 400 },
	{ "{\"query\": [], \"documents\": 5}", "/v1/rerank", 400 },
	{ "{\"input\": [[[]]]}", "/v1/responses", 400 },
	{ "{\"prompt\": 1, \"options\": []}", "/api/generate", 400 },
	{ "[]", "/tokenize", 400 },
	{ "{\"prompt\": \"a\"", NULL, 400 },
};

static void check_values(struct bench *s)
{
	test_case(s->t, "values that nobody asks for, schemas that explode");
	for (size_t i = 0; i < ARRAY_LEN(values); i++) {
		const char *path = values[i].path ? values[i].path : "/v1/completions";
		int status = ask(s, path, values[i].body, strlen(values[i].body));
		CHECK_MSG(s->t, status == values[i].status, "%d for %s %s: %s", status, path, values[i].body,
		          buf_str(&s->reply));
	}
	check_honest(s);
}

/* Bodies that are long: so many of a text between two others. */
static void check_long(struct bench *s)
{
	static const struct { const char *before, *each, *after; int times, status; } bodies[] = {
		{ "{\"prompt\": ", "[", "", 10000, 400 },
		{ "{\"prompt\": [", "\"a\", ", "\"b\"]}", 200, 400 },
		{ "{\"prompt\": [", "1, ", "1]}", 200000, 400 },
		{ "{\"prompt\": \"a\", \"stop\": [", "\"a\", ", "\"b\"]}", 1000, 400 },
		{ "{\"prompt\": \"", "a", "\"}", 900000, 400 },
		{ "{\"prompt\": \"a\", \"", "k", "\": 1}", 100000, 400 },
		{ "{\"prompt\": \"a\", \"model\": \"", "k", "\"}", 100000, 404 },
	};
	struct buf body = BUF_INIT;

	test_case(s->t, "bodies that are deep, long and many");
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		buf_clear(&body);
		buf_adds(&body, bodies[i].before);
		for (int k = 0; k < bodies[i].times; k++)
			buf_adds(&body, bodies[i].each);
		buf_adds(&body, bodies[i].after);
		int status = ask(s, "/v1/completions", buf_str(&body), body.len);
		CHECK_MSG(s->t, status == bodies[i].status, "%d for %zu: %.300s", status, i, buf_str(&s->reply));
	}
	check_honest(s);
	buf_release(&body);
}

/* --- connections --- */

static void check_keys(struct bench *s)
{
	static const char *const keys[] = { "", "righ", "right1", "RIGHT", "Bearer right", "rightright" };
	char text[256];

	test_case(s->t, "wrong keys, a foreign Host and Origin");
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		snprintf(text, sizeof(text), "GET /v1/models HTTP/1.1\r\nHost: localhost:%d\r\n" CLOSE
		         "Authorization: Bearer %s\r\n\r\n", http_port(s->http), keys[i]);
		int status = socket_ask(http_port(s->http), text, strlen(text), &s->reply);
		CHECK_MSG(s->t, status == 401, "%d for %s", status, keys[i]);
	}
	snprintf(text, sizeof(text), "GET /v1/models HTTP/1.1\r\nHost: evil.example\r\n" CLOSE "\r\n");
	CHECK(s->t, socket_ask(http_port(s->http), text, strlen(text), &s->reply) == 421);
	snprintf(text, sizeof(text), "POST /v1/completions HTTP/1.1\r\nHost: localhost:%d\r\n" CLOSE
	         "Origin: http://evil.example\r\nContent-Length: 2\r\n\r\n{}", http_port(s->http));
	CHECK(s->t, socket_ask(http_port(s->http), text, strlen(text), &s->reply) == 403);
	check_honest(s);
}

static int count(const char *text, const char *what)
{
	int n = 0;

	for (; (text = strstr(text, what)); text += strlen(what))
		n++;
	return n;
}

static void check_connections(struct bench *s)
{
	struct buf one = BUF_INIT, all = BUF_INIT;

	test_case(s->t, "many in a row, a pipeline, half-closed, half asked");
	for (int i = 0; i < IN_A_ROW; i++) {
		int fd = socket_to(http_port(s->http));
		request(s, &one, "/v1/completions", "", HONEST, strlen(HONEST));
		socket_say(fd, buf_str(&one), (size_t)i % one.len);
		if (i % 2)
			socket_reset(fd);
		else
			close(fd);
	}
	for (int i = 0; i < 5; i++) {
		request(s, &one, "/v1/completions", i == 4 ? CLOSE : "", HONEST, strlen(HONEST));
		buf_add(&all, buf_str(&one), one.len);
	}
	CHECK(s->t, socket_ask(http_port(s->http), buf_str(&all), all.len, &s->reply) == 200);
	CHECK_MSG(s->t, count(buf_str(&s->reply), "HTTP/1.1 200 ") == 5, "%s", buf_str(&s->reply));
	int fd = socket_to(http_port(s->http));
	buf_clear(&one);
	buf_addf(&one, "GET /health HTTP/1.1\r\nHost: localhost:%d\r\n\r\n", http_port(s->http));
	socket_say(fd, buf_str(&one), one.len);
	shutdown(fd, SHUT_WR);
	socket_hear(fd, &s->reply);
	CHECK_MSG(s->t, strstr(buf_str(&s->reply), " 200 "), "%s", buf_str(&s->reply));
	check_honest(s);
	buf_release(&one);
	buf_release(&all);
}

/* --- streams --- */

static int stream(struct bench *s)
{
	static const char body[] = "{\"prompt\": [5, 17, 40], \"max_tokens\": 40, \"stream\": true, "
	                           "\"logit_bias\": {\"1\": -100}}";
	struct buf out = BUF_INIT;
	int fd = socket_to(http_port(s->http));

	request(s, &out, "/v1/completions", "", body, sizeof(body) - 1);
	socket_say(fd, buf_str(&out), out.len);
	buf_release(&out);
	return fd;
}

static void check_streams(struct bench *s)
{
	int fd[STREAMS];
	char byte;

	test_case(s->t, "streams that are reset in their midst, and that nobody reads");
	for (int i = 0; i < STREAMS; i++)
		fd[i] = stream(s);
	for (int i = 0; i < STREAMS; i += 2) {
		CHECK(s->t, recv(fd[i], &byte, 1, 0) == 1);
		socket_reset(fd[i]);
	}
	check_honest(s);
	for (int i = 1; i < STREAMS; i += 2)
		close(fd[i]);
	check_honest(s);
}

/* More than may wait: each is answered, or told that it is too much. */
static void check_crowd(struct bench *s)
{
	int fd[PARALLEL + QUEUE + 20], answered = 0, refused = 0;

	test_case(s->t, "a crowd beyond the queue is told so");
	for (size_t i = 0; i < ARRAY_LEN(fd); i++)
		fd[i] = stream(s);
	for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
		char head[16] = "";
		CHECK(s->t, recv(fd[i], head, sizeof(head) - 1, MSG_WAITALL) > 0);
		answered += !strncmp(head, "HTTP/1.1 200 ", 13);
		refused += !strncmp(head, "HTTP/1.1 503 ", 13);
		socket_reset(fd[i]);
	}
	CHECK_MSG(s->t, answered + refused == ARRAY_LEN(fd) && answered >= PARALLEL, "%d, %d", answered, refused);
	while (ask(s, "/v1/completions", HONEST, strlen(HONEST)) == 503)
		; /* until it is seen that they left */
	check_honest(s);
}

/* The end in the midst of streams: each of them ends, and what is asked afterwards is refused. */
static void check_end(struct bench *s)
{
	struct buf text = BUF_INIT;
	int fd[STREAMS];
	char byte;

	test_case(s->t, "the end in the midst of streams");
	for (int i = 0; i < STREAMS; i++)
		fd[i] = stream(s);
	CHECK(s->t, recv(fd[0], &byte, 1, MSG_PEEK) == 1);
	openai_close(s->openai);
	CHECK(s->t, ask(s, "/v1/completions", HONEST, strlen(HONEST)) == 503);
	s->over = true;
	pthread_join(s->thread, NULL);
	http_stop(s->http);
	for (int i = 0; i < STREAMS; i++) {
		socket_hear(fd[i], &text);
		CHECK_MSG(s->t, !text.len || !strncmp(buf_str(&text), "HTTP/1.1 ", 9), "%s", buf_str(&text));
	}
	buf_release(&text);
}

void test_serve_hostile(struct test *t)
{
	struct bench s = { .t = t, .honest = BUF_INIT, .reply = BUF_INIT };

	test_case(t, "it starts");
	if (!start(&s))
		return;
	check_honest(&s);
	check_values(&s);
	check_long(&s);
	check_keys(&s);
	check_connections(&s);
	check_streams(&s);
	check_crowd(&s);
	check_end(&s);
	engine_free(s.engine);
	openai_free(s.openai);
	keys_free(s.keys);
	session_free(s.session);
	model_close(&s.model);
	pool_free(s.pool);
	buf_release(&s.honest);
	buf_release(&s.reply);
}
