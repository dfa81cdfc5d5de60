/* test_feedback_api: the page's calls on a small file. What would break: a call that somebody without a token, or a
 * rater who is no owner, may make; a label that lands on another answer than the one that was seen, or twice, or on an
 * item that is not shown; an item that a reload shows in another order; sides that are not balanced; a mistake of the
 * page's that is not named. */
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "../test.h"
#include "base/base64.h"
#include "base/io.h"
#include "base/mem.h"
#include "base/sha.h"
#include "feedback/store.h"
#include "serve/feedback_api.h"

struct fixture {
	char *path;
	struct feedback *f;
	struct informed *informed;
	struct feedback_api *api;
	char owner[33], anna[33];
	struct http_reply reply;
	json_t *said;                   /* the last reply's */
};

static bool make(struct test *t, struct fixture *x, const char *name, enum feedback_ask ask)
{
	static const char *const classes[] = { "good", "bad", NULL };
	struct feedback_study s = {
		.ask = ask, .n_answers = 2, .labels = classes, .scale = 5, .labels_per_item = 2,
	};
	struct err e = ERR_INIT;
	int64_t id;

	*x = (struct fixture){ mem_printf("%s/%s.db", test_tmp(), name) };
	bool ok = feedback_create(x->path, &s, &e) == 0 && feedback_open(&x->f, x->path, true, &e) == 0 &&
	          informed_new(&x->informed, x->path, &e) == 0;
	for (int i = 0; ok && i < 12; i++) {
		char prompt[64], left[32];

		snprintf(prompt, sizeof(prompt), "[{\"role\":\"user\",\"content\":\"%d\"}]", i);
		snprintf(left, sizeof(left), "left %d", i);
		struct feedback_item it = {
			.prompt = prompt, .n = 2, .answers = { left, "right" }, .gold = FEEDBACK_NONE,
			.extra = "{\"lang\": \"de\"}",
		};
		ok = feedback_add_item(x->f, &it, &id, &e) == 0;
	}
	ok = ok && feedback_invite(x->f, "owner", ROLE_OWNER, x->owner, &e) == 0 &&
	     feedback_invite(x->f, "anna", ROLE_RATER, x->anna, &e) == 0;
	CHECK_MSG(t, ok, "%s", e.msg);
	x->api = ok ? feedback_api_new(x->f, x->informed) : NULL;
	return ok;
}

static void drop(struct fixture *x)
{
	feedback_api_free(x->api);
	informed_free(x->informed);
	mem_free(x->path);
	feedback_close(x->f);
	json_decref(x->said);
}

static int call(struct fixture *x, const char *token, const char *method, const char *path, const char *body)
{
	struct http_request q = { method, path, token, body, strlen(body) };

	x->reply = (struct http_reply){ 200, "application/json" };
	feedback_api_answer(x->api, &q, &x->reply);
	json_decref(x->said);
	x->said = json_loads(buf_str(&x->reply.body), 0, NULL);
	buf_release(&x->reply.body);
	return x->reply.status;
}

static const json_t *get(const struct fixture *x, const char *a, const char *b)
{
	const json_t *o = json_object_get(x->said, a);

	return b ? json_object_get(o, b) : o;
}

static const char *message(const struct fixture *x) { return json_string_value(get(x, "error", "message")); }

/* The item that is shown now. */
static json_int_t shown(struct fixture *x, const char *token)
{
	call(x, token, "GET", "/api/next", "");
	return json_integer_value(get(x, "item", "id"));
}

static int label(struct fixture *x, const char *token, json_int_t item, const char *rest)
{
	char body[512];

	snprintf(body, sizeof(body), "{\"item\": %lld, %s}", (long long)item, rest);
	return call(x, token, "POST", "/api/labels", body);
}

/* Browsers run the page's script only if the policy has the hash of its bytes. */
static void test_page(struct test *t, const char *policy)
{
	static const struct { const char *kind, *open, *close; } parts[] = {
		{ "script-src", "<script>", "</script>" },
		{ "style-src", "<style>", "</style>" },
	};
	struct err e = ERR_INIT;
	struct buf page = BUF_INIT;

	CHECK_MSG(t, io_read(&page, "src/serve/feedback.html", &e) == 0, "%s", e.msg);
	for (size_t i = 0; !*e.msg && i < ARRAY_LEN(parts); i++) {
		const char *from = strstr(buf_str(&page), parts[i].open) + strlen(parts[i].open);
		struct buf hash = BUF_INIT;
		uint8_t bytes[32];
		unsigned byte;
		char hex[65];
		struct sha s;

		sha_begin(&s, true);
		sha_add(&s, from, (size_t)(strstr(from, parts[i].close) - from));
		sha_end(&s, hex);
		for (size_t k = 0; k < sizeof(bytes) && sscanf(hex + 2 * k, "%2x", &byte) == 1; k++)
			bytes[k] = (uint8_t)byte;
		buf_addf(&hash, "%s 'sha256-", parts[i].kind);
		base64_write(&hash, bytes, sizeof(bytes));
		buf_adds(&hash, "';");
		CHECK_MSG(t, strstr(policy, buf_str(&hash)), "%s", buf_str(&hash));
		CHECK(t, !strstr(strstr(from, parts[i].close), parts[i].open));
		buf_release(&hash);
	}
	buf_release(&page);
}

static void test_doors(struct test *t, struct fixture *x)
{
	static const struct { const char *method, *path; int nobody, rater, owner; } doors[] = {
		{ "GET", "/", 200, 200, 200 },
		{ "HEAD", "/", 200, 200, 200 },
		{ "POST", "/", 405, 405, 405 },
		{ "GET", "/api/session", 401, 200, 200 },
		{ "GET", "/api/next", 401, 200, 200 },
		{ "GET", "/api/report", 401, 403, 200 },
		{ "GET", "/api/labels", 405, 405, 405 },
		{ "POST", "/api/labels", 401, 400, 400 },
		{ "POST", "/api/undo", 401, 404, 404 },
		{ "POST", "/api/invitations", 401, 403, 400 },
		{ "DELETE", "/api/labels", 405, 405, 405 },
		{ "GET", "/api/nothing", 404, 404, 404 },
		{ "GET", "/../feedback.db", 404, 404, 404 },
	};

	for (size_t i = 0; i < ARRAY_LEN(doors); i++) {
		test_case(t, "%s %s", doors[i].method, doors[i].path);
		CHECK(t, call(x, NULL, doors[i].method, doors[i].path, "") == doors[i].nobody);
		CHECK(t, call(x, x->anna, doors[i].method, doors[i].path, "") == doors[i].rater);
		CHECK(t, call(x, x->owner, doors[i].method, doors[i].path, "") == doors[i].owner);
	}
	CHECK(t, call(x, "0123456789abcdef0123456789abcdef", "GET", "/api/session", "") == 401);
	CHECK(t, call(x, "", "GET", "/api/session", "") == 401);
	call(x, NULL, "GET", "/", "");
	CHECK(t, x->reply.policy && strstr(x->reply.policy, "script-src 'sha256-"));
	test_page(t, x->reply.policy);
}

/* As the label stands in the file. */
static struct feedback_label last(struct fixture *x, struct arena *mem)
{
	struct feedback_label *all = NULL;
	struct err e = ERR_INIT;
	size_t n = 0;

	feedback_labels(x->f, mem, &all, &n, &e);
	return n ? all[n - 1] : (struct feedback_label){ 0 };
}

static void test_labels(struct test *t, struct fixture *x)
{
	struct arena mem = ARENA_INIT;

	test_case(t, "what is shown is shown again, and a label is of the answer that was seen");
	for (int i = 0; i < 4; i++) {
		json_int_t item = shown(x, x->anna);
		const char *left = json_string_value(json_array_get(get(x, "item", "answers"), 0));
		bool first = !strncmp(left, "left", 4);

		CHECK(t, shown(x, x->anna) == item && !strcmp(json_string_value(get(x, "item", "lang")), "de"));
		CHECK(t, !strncmp(json_string_value(json_array_get(get(x, "item", "answers"), 0)), "left", 4) == first);
		CHECK(t, label(x, x->anna, item, "\"winner\": 0, \"strength\": 2, \"seconds\": 3.5") == 200);
		struct feedback_label l = last(x, &mem);
		CHECK(t, l.item == item && l.winner == (first ? 0 : 1) && l.shown[0] == l.winner && l.strength == 2);
		CHECK(t, json_integer_value(get(x, "progress", "done")) == i + 1);
		CHECK(t, json_integer_value(get(x, "progress", "total")) == 12);
	}
	test_case(t, "the same key is one label");
	json_int_t item = shown(x, x->anna);
	CHECK(t, label(x, x->anna, item, "\"key\": \"k\", \"tie\": true") == 200);
	CHECK(t, json_is_false(get(x, "duplicate", NULL)));
	CHECK(t, label(x, x->anna, item, "\"key\": \"k\", \"tie\": true") == 200);
	CHECK(t, json_is_true(get(x, "duplicate", NULL)));
	CHECK(t, json_integer_value(get(x, "progress", "done")) == 5);
	test_case(t, "of an item that is not shown, or is another now");
	CHECK(t, label(x, x->anna, item, "\"tie\": true") == 409);
	item = shown(x, x->anna);
	CHECK(t, label(x, x->anna, item, "\"tie\": true, \"version\": \"ffffffffffffffffffffffffffffffff\"") == 409);
	test_case(t, "taken back, and shown again in the same order");
	CHECK(t, shown(x, x->anna) == item);
	json_t *before = json_deep_copy(get(x, "item", NULL));
	CHECK(t, label(x, x->anna, item, "\"key\": \"u\", \"winner\": 1") == 200);
	CHECK(t, call(x, x->anna, "POST", "/api/undo", "{\"key\": \"u\"}") == 200);
	CHECK(t, json_equal(get(x, "item", NULL), before) && shown(x, x->anna) == item);
	CHECK(t, call(x, x->anna, "POST", "/api/undo", "{\"key\": \"u\"}") == 404);
	json_decref(before);
	arena_release(&mem);
}

/* What a label may not say, and the word by which the sentence names it. */
static const struct { const char *rest, *word; } mistakes[] = {
	{ "\"score\": 1", "score" },
	{ "\"winner\": 2", "winner" },
	{ "\"winner\": -1", "winner" },
	{ "\"winner\": \"0\"", "winner" },
	{ "\"winner\": 0, \"tie\": true", "tie" },
	{ "\"tie\": 1", "tie" },
	{ "\"tie\": false", "something" },
	{ "\"winner\": null", "something" },
	{ "\"ranking\": [1]", "ranking" },
	{ "\"ranking\": [0, 1]", "places" },
	{ "\"rating\": [1]", "rating" },
	{ "\"rating\": [1, 6]", "ratings" },
	{ "\"rating\": [1, \"2\"]", "ratings" },
	{ "\"label\": \"ugly\"", "class" },
	{ "\"edited\": \"better\"", "edited" },
	{ "\"winner\": 0, \"seconds\": -1", "seconds" },
	{ "\"winner\": 0, \"strength\": 3", "strength" },
	{ "\"winner\": 0, \"comment\": 7", "comment" },
};

static void test_mistakes(struct test *t, struct fixture *x)
{
	json_int_t item = shown(x, x->owner);
	char brackets[2 * HTTP_DEPTH + 1] = "";

	memset(brackets, '[', HTTP_DEPTH);
	memset(brackets + HTTP_DEPTH, ']', HTTP_DEPTH);
	for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
		test_case(t, "%s", mistakes[i].rest);
		CHECK(t, label(x, x->owner, item, mistakes[i].rest) == 400);
		CHECK_MSG(t, message(x) && strstr(message(x), mistakes[i].word), "%s", message(x));
	}
	test_case(t, "JSON of 64 levels and of more");
	char deep[2 * (HTTP_DEPTH + 1) + 16];
	for (int levels = HTTP_DEPTH - 1; levels <= HTTP_DEPTH; levels++) {
		snprintf(deep, sizeof(deep), "{\"x\":%.*s%.*s}", levels, brackets, levels,
		         brackets + HTTP_DEPTH);
		CHECK(t, call(x, x->owner, "POST", "/api/labels", deep) == 400);
		CHECK_MSG(t, !strstr(message(x), "nested") == (levels < HTTP_DEPTH), "%s", message(x));
	}
	test_case(t, "no JSON, no object, no item");
	CHECK(t, call(x, x->owner, "POST", "/api/labels", "{") == 400);
	CHECK(t, call(x, x->owner, "POST", "/api/labels", "[]") == 400);
	CHECK(t, call(x, x->owner, "POST", "/api/labels", "{\"tie\": true}") == 400);
	CHECK(t, label(x, x->owner, item, "\"ranking\": [2, 1], \"rating\": [5, 1], \"label\": \"bad\"") == 200);
}

static void test_owner(struct test *t, struct fixture *x)
{
	char token[33];

	test_case(t, "the owner lets somebody in, who is counted");
	CHECK(t, call(x, x->owner, "POST", "/api/invitations", "{\"name\": \"ben\"}") == 200);
	snprintf(token, sizeof(token), "%s", json_string_value(get(x, "token", NULL)));
	CHECK(t, !strncmp(json_string_value(get(x, "path", NULL)), "/#", 2));
	CHECK(t, call(x, token, "GET", "/api/session", "") == 200);
	CHECK(t, !strcmp(json_string_value(get(x, "rater", NULL)), "ben"));
	CHECK(t, call(x, x->owner, "GET", "/api/report", "") == 200);
	CHECK(t, json_array_size(get(x, "raters", NULL)) == 3 && json_is_null(get(x, "money", NULL)));
	CHECK(t, json_integer_value(get(x, "labels", NULL)) == 6);
	CHECK(t, call(x, x->owner, "POST", "/api/invitations", "{\"name\": \"owner\"}") == 409);
	CHECK(t, call(x, x->owner, "POST", "/api/invitations", "{\"name\": \"a\\nb\"}") == 400);
}

/* Files may not grow: what cannot be written is a sentence, and sent again it is saved once. */
static void test_full_disk(struct test *t, struct fixture *x)
{
	json_int_t item = shown(x, x->anna);
	size_t items, before, after, raters;
	struct rlimit was, none;
	struct err e = ERR_INIT;

	test_case(t, "a full disk");
	feedback_count(x->f, &items, &before, &raters, &e);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &was);
	none = (struct rlimit){ 1, was.rlim_max };
	setrlimit(RLIMIT_FSIZE, &none);
	int status = label(x, x->anna, item, "\"key\": \"full\", \"tie\": true");
	setrlimit(RLIMIT_FSIZE, &was);
	signal(SIGXFSZ, SIG_DFL);
	CHECK_MSG(t, status == 500 && strstr(message(x), "cannot be written"), "%d: %s", status, message(x));
	CHECK(t, shown(x, x->anna) == item);
	CHECK(t, label(x, x->anna, item, "\"key\": \"full\", \"tie\": true") == 200);
	CHECK(t, json_is_false(get(x, "duplicate", NULL)));
	CHECK(t, feedback_count(x->f, &items, &after, &raters, &e) == 0 && after == before + 1);
}

/* In every two showings each side comes first once. */
static void test_sides(struct test *t, struct fixture *x)
{
	int left = 0;

	test_case(t, "sides are balanced");
	for (int i = 0; i < 12; i++) {
		json_int_t item = shown(x, x->anna);

		left += !strncmp(json_string_value(json_array_get(get(x, "item", "answers"), 0)), "left", 4);
		CHECK(t, i % 2 == 0 || left == (i + 1) / 2);
		CHECK(t, label(x, x->anna, item, i % 3 ? "\"winner\": 0" : "\"skipped\": true") == 200);
	}
	CHECK(t, shown(x, x->anna) == 0 && json_is_null(get(x, "item", NULL)));
}

/* Of items that nobody judged the one that tells most: those whose answers differ in what the labels turn on. */
static void test_informed(struct test *t, struct fixture *x)
{
	struct arena mem = ARENA_INIT;
	struct feedback_item *items = NULL;
	struct err e = ERR_INIT;
	bool judged[12] = { false };
	size_t n = 0, best = 12;

	test_case(t, "what tells most is next");
	feedback_items(x->f, &mem, &items, &n, &e);
	CHECK(t, informed_look(x->informed, &e) == 0 && !informed_of(x->informed, n, &mem));
	for (size_t i = 0; i < n; i++) {
		float state[] = { (float)(i % 4), (float)(i % 3), 0, (float)(i % 5) };

		CHECK(t, feedback_set_states(x->f, &items[i], "model", state, 2, &e) == 0);
	}
	for (int i = 0; i < 8; i++) {
		json_int_t item = shown(x, x->anna);

		judged[item - 1] = true;
		label(x, x->anna, item, i % 3 ? "\"winner\": 0" : "\"winner\": 1");
	}
	for (int i = 0; i < 2; i++) /* 10 in all: enough to count anew */
		label(x, x->owner, shown(x, x->owner), "\"skipped\": true");
	CHECK_MSG(t, informed_look(x->informed, &e) == 0, "%s", e.msg);
	const double *of = informed_of(x->informed, n, &mem);
	for (size_t i = 0; of && i < n; i++)
		if (!judged[i] && (best == 12 || of[i] > of[best]))
			best = i;
	CHECK(t, of && best < 12 && of[best] > 0 && shown(x, x->anna) == (json_int_t)best + 1);
	arena_release(&mem);
}

void test_feedback_api(struct test *t)
{
	struct fixture x;

	test_case(t, "a file");
	if (make(t, &x, "api", ASK_COMPARE)) {
		test_doors(t, &x);
		test_labels(t, &x);
		test_mistakes(t, &x);
		test_owner(t, &x);
		test_full_disk(t, &x);
	}
	drop(&x);
	test_case(t, "another");
	if (make(t, &x, "sides", ASK_COMPARE))
		test_sides(t, &x);
	drop(&x);
	test_case(t, "a third");
	if (make(t, &x, "informed", ASK_COMPARE))
		test_informed(t, &x);
	drop(&x);
}
