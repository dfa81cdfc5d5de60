/* openai: which call goes where, who may ask, and what all replies have in common. */
#include "serve/openai.h"
#include "serve/openai_parts.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "base/jsonx.h"
#include "base/mem.h"
#include "base/sentence.h"
#include "base/rng.h"
#include "infer/scorer.h"
#include "serve/models.h"
#include "serve/page.h"

extern const char page_serve[];

/* --- replies --- */

/* OpenAI's words for a status. */
static const char *type_of(int status)
{
	switch (status) {
	case 401: return "authentication_error";
	case 403: return "permission_error";
	case 404: return "not_found_error";
	case 429: return "rate_limit_error";
	default: return status < 500 ? "invalid_request_error" : "server_error";
	}
}

void openai_error(struct http_reply *r, int status, const char *code, const char *param, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *message = sentence_vprintf(fmt, ap);
	va_end(ap);
	/* a budget that is used up is a type of its own there */
	const char *type = !strcmp(code, "insufficient_quota") ? code : type_of(status);
	json_t *j = json_pack("{s:{s:o, s:s, s:s?, s:s}}", "error", "message", jsonx_text(message, strlen(message)),
	                      "type", type, "param", param, "code", code);
	openai_reply(r, j);
	r->status = status;
	mem_free(message);
}

void openai_reply(struct http_reply *r, json_t *j)
{
	char *line = jsonx_line(j);

	r->status = 200;
	r->type = "application/json";
	buf_clear(&r->body);
	buf_adds(&r->body, line);
	mem_free(line);
	json_decref(j);
}

bool openai_unknown_key(const json_t *sent, const char *const *known, struct http_reply *r)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)sent, key, value) {
		const char *const *k = known;
		while (*k && strcmp(key, *k))
			k++;
		if (*k || json_is_null(value))
			continue;
		openai_error(r, 400, "unknown_parameter", key,
		             "'%.60s' is not known here, so it is not left out in silence", key);
		return true;
	}
	return false;
}

json_t *openai_gas_json(const struct gas *g)
{
	json_t *j = gas_request_json(g);

	json_object_set_new(j, "method", json_string(energy_method_name(g->energy.method)));
	json_object_set_new(j, "currency", json_string(g->money.currency));
	return j;
}

/* Ollama's clients read a sentence. */
static void make_plain(struct http_reply *r)
{
	json_t *j = json_loads(buf_str(&r->body), 0, NULL);
	const char *message = json_string_value(json_object_get(json_object_get(j, "error"), "message"));
	int status = r->status;

	if (message)
		openai_reply(r, json_pack("{s:s}", "error", message));
	r->status = status;
	json_decref(j);
}

void openai_rename(struct http_reply *r, const char *const (*names)[2])
{
	json_t *j = json_loads(buf_str(&r->body), 0, NULL), *error = json_object_get(j, "error");
	const char *param = json_string_value(json_object_get(error, "param")),
		   *message = json_string_value(json_object_get(error, "message"));
	struct buf text = BUF_INIT;
	int status = r->status;

	while (param && (*names)[0] && strcmp((*names)[0], param))
		names++;
	if (!param || !message || !(*names)[0]) {
		json_decref(j);
		return;
	}
	char *quoted = mem_printf("'%s'", param);
	const char *at = strstr(message, quoted);
	buf_add(&text, message, at ? (size_t)(at - message) : strlen(message));
	if (at)
		buf_addf(&text, "'%s'%s", (*names)[1], at + strlen(quoted));
	json_object_set_new(error, "message", json_string(buf_str(&text)));
	json_object_set_new(error, "param", json_string((*names)[1]));
	openai_reply(r, j);
	r->status = status;
	buf_release(&text);
	mem_free(quoted);
}

void openai_number(struct openai *s, const char *prefix, char *out, size_t size)
{
	pthread_mutex_lock(&s->lock);
	uint64_t number = s->next_id++;
	pthread_mutex_unlock(&s->lock);
	snprintf(out, size, "%s-%016llx", prefix, (unsigned long long)(s->salt ^ number * 0x9E3779B97F4A7C15ULL));
}

/* A number for this reply, by which people ask what became of it. */
static void number_reply(struct openai *s, const char *id, struct http_reply *r)
{
	char own[40];

	if (!id)
		openai_number(s, "req", own, sizeof(own));
	http_header(r, "x-request-id", "%s", id ? id : own);
}

void openai_later(struct openai *s, struct http_later *l, const char *id, struct http_reply *r, bool plain)
{
	if (plain && r->status >= 400)
		make_plain(r);
	number_reply(s, id, r);
	http_later_reply(l, r);
}

static bool is_plain(const struct http_request *q) { return !strncmp(q->path, "/api/", 5); }

/* --- models --- */

/* A text that stays until the end. */
static const char *kept_name_locked(struct openai *s, const char *name)
{
	for (size_t i = 0; i < s->n_names; i++)
		if (!strcmp(s->names[i], name))
			return s->names[i];
	s->names = mem_grow(s->names, s->n_names + 1, sizeof(*s->names));
	return s->names[s->n_names++] = mem_strdup(name);
}

void openai_names(struct openai *s, const char *const *names, size_t n)
{
	pthread_mutex_lock(&s->lock);
	s->own = mem_grow(s->own, n + 1, sizeof(*s->own));
	for (size_t i = 0; i < n; i++)
		s->own[i] = kept_name_locked(s, names[i]);
	s->n_own = n;
	pthread_mutex_unlock(&s->lock);
}

const char *openai_name(struct openai *s)
{
	pthread_mutex_lock(&s->lock);
	const char *name = s->n_own ? s->own[0] : "";
	pthread_mutex_unlock(&s->lock);
	return name;
}

size_t openai_own(struct openai *s, const char *out[OWN_NAMES])
{
	pthread_mutex_lock(&s->lock);
	size_t n = MIN(s->n_own, (size_t)OWN_NAMES);
	memcpy(out, s->own, n * sizeof(*out));
	pthread_mutex_unlock(&s->lock);
	return n;
}

bool openai_is_name(struct openai *s, const char *name)
{
	bool is = false;

	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->n_own; i++)
		is |= !strcmp(name, s->own[i]);
	pthread_mutex_unlock(&s->lock);
	return is;
}

size_t openai_all(struct openai *s, struct openai **out)
{
	if (s->o.models)
		return models_list(s->o.models, out);
	*out = s;
	return 1;
}

bool openai_asked(const struct openai *s) { return s->asks; }

int openai_adapter(struct openai *s, const char *name)
{
	if (!name || openai_is_name(s, name))
		return s->o.adapters || !s->o.overlay ? -1 : 0;
	return s->o.adapters ? adapters_find(s->o.adapters, name) : -2;
}

const struct overlay *openai_overlay(const struct openai *s)
{
	return s->o.adapters ? adapters_overlay(s->o.adapters) : s->o.overlay;
}

/* As long as one answer and its share of those that wait will take, by what answers took lately. */
void openai_busy(struct openai *s, struct http_reply *r, const char *fmt, ...)
{
	va_list ap;

	pthread_mutex_lock(&s->lock);
	double seconds = s->answer_seconds * (double)s->pending / MAX(s->o.parallel, 1);
	pthread_mutex_unlock(&s->lock);
	va_start(ap, fmt);
	char *message = sentence_vprintf(fmt, ap);
	va_end(ap);
	openai_error(r, 503, "overloaded", NULL, "%s", message);
	http_header(r, "retry-after", "%d", (int)fmin(fmax(seconds, 1), 120));
	mem_free(message);
}

void openai_no_model(struct http_reply *r, const char *name)
{
	openai_error(r, 404, "model_not_found", "model",
	             "The model '%.100s' does not exist here; GET /v1/models "
	             "lists those that do",
	             name);
}

int openai_model(struct openai *s, const json_t *sent, const char **name, struct http_reply *r)
{
	const json_t *asked = json_object_get(sent, "model");
	int adapter = -2;

	*name = json_is_string(asked) ? json_string_value(asked) : openai_name(s);
	if (asked && !json_is_string(asked) && !json_is_null(asked))
		openai_error(r, 400, "invalid_type", "model", "'model' is no text");
	else if ((adapter = openai_adapter(s, *name)) == -2)
		openai_no_model(r, *name);
	return adapter;
}

/* --- calls --- */

/* Does the path have the pattern's form? A "*" stands for one part of it, at the end for all the rest. */
static bool has_form(const char *path, const char *pattern)
{
	for (; *pattern; pattern++)
		if (*pattern == '*' && !pattern[1]) {
			return *path;
		} else if (*pattern == '*') {
			size_t n = strcspn(path, "/");
			if (!n)
				return false;
			path += n;
		} else if (*path++ != *pattern) {
			return false;
		}
	return !*path;
}

static bool has_path(const struct call *c, const char *path)
{
	for (const char *const *p = c->paths; *p; p++)
		if (has_form(path, *p))
			return true;
	return false;
}

/* The call of a path and method; NULL, and another call of that path, if there is one. */
static const struct call *find_call(const struct http_request *q, const struct call **other)
{
	const char *method = strcmp(q->method, "HEAD") ? q->method : "GET";

	*other = NULL;
	for (const struct calls *const *file = calls_table; *file; file++)
		for (const struct call *c = (*file)->rows; c->method; c++)
			if (has_path(c, q->path)) {
				if (!strcmp(method, c->method))
					return c;
				if (!*other)
					*other = c;
			}
	return NULL;
}

void openai_part(const struct http_request *q, int part, char *out, size_t size)
{
	const char *at = q->path + (*q->path == '/');

	for (int i = 0; i < part && *at; i++) {
		at += strcspn(at, "/");
		at += *at == '/';
	}
	snprintf(out, size, "%.*s", (int)strcspn(at, "/"), at);
}

void openai_close(struct openai *s)
{
	pthread_mutex_lock(&s->lock);
	s->closed = true;
	pthread_mutex_unlock(&s->lock);
}

static bool is_closed(struct openai *s)
{
	pthread_mutex_lock(&s->lock);
	bool closed = s->closed;
	pthread_mutex_unlock(&s->lock);
	return closed;
}

/* A reply that is given at once. */
static void finish_now(struct openai *s, const struct http_request *q, struct http_reply *r)
{
	if (r->status >= 400 && is_plain(q))
		make_plain(r);
	if (r->status)
		number_reply(s, NULL, r);
}

static void no_key(struct http_reply *r)
{
	openai_error(r, 401, "invalid_api_key", NULL,
	             "A key is wanted, as Authorization: Bearer KEY, and this is none of those that are known");
}

bool openai_admit(void *openai, const struct http_request *q, struct http_reply *r)
{
	struct openai *s = openai;
	const struct call *other, *c = find_call(q, &other);

	if (is_closed(s))
		openai_error(r, 503, "stopped", NULL, "The server ends");
	else if (!c && !other)
		openai_error(r, 404, "not_found", NULL, "There is no %.100s here", q->path);
	else if (!c)
		openai_error(r, 405, "method_not_allowed", NULL, "%.100s wants %s", q->path, other->method);
	else if (!c->open && !keys_holder(s->o.keys, q->bearer))
		no_key(r);
	if (r->status == 405)
		r->allow = strcmp(other->method, "GET") ? other->method : "GET, HEAD";
	if (!r->status)
		return true;
	openai_count_refused(s);
	finish_now(s, q, r);
	return false;
}

void openai_count_refused(struct openai *s)
{
	pthread_mutex_lock(&s->lock);
	s->counts.refused++;
	pthread_mutex_unlock(&s->lock);
}

/* Whose call it is: keys may have been read anew since it was admitted. */
static bool find_caller(struct openai *s, const struct call *c, const struct http_request *q, struct http_reply *r)
{
	s->caller = q->whose ? keys_named(s->o.keys, q->whose) : keys_holder(s->o.keys, q->bearer);
	if (!s->caller && !c->open)
		no_key(r);
	else if (s->caller && c->uncharged && holder_budgets(s->o.keys, s->caller))
		openai_error(r, 403, "budget", NULL,
		             "What this call takes is charged to no key, and this key has a budget");
	return r->status < 400;
}

struct holder *openai_pause(struct openai *s)
{
	struct holder *caller = s->caller;

	pthread_mutex_unlock(&s->calls);
	return caller;
}

void openai_go_on(struct openai *s, struct holder *caller)
{
	pthread_mutex_lock(&s->calls);
	s->caller = caller;
}

void openai_answer(void *openai, const struct http_request *q, struct http_reply *r)
{
	struct openai *s = openai;
	const struct call *other, *c = find_call(q, &other);
	struct http_reply broken = { 0 };
	json_t *sent = q->form ? json_object() : http_json(q, &broken);

	pthread_mutex_lock(&s->lock);
	s->counts.requests++;
	pthread_mutex_unlock(&s->lock);
	if (!sent) {
		json_t *said = json_loads(buf_str(&broken.body), 0, NULL);
		openai_error(r, 400, "invalid_json", NULL, "%s",
		             json_string_value(json_object_get(json_object_get(said, "error"), "message")));
		json_decref(said);
		buf_release(&broken.body);
	} else {
		pthread_mutex_lock(&s->calls);
		if (find_caller(s, c, q, r) && openai_guard(s, q, sent, r))
			c->answer(s, q, sent, r);
		pthread_mutex_unlock(&s->calls);
	}
	if (r->status >= 400)
		openai_count_refused(s);
	finish_now(s, q, r);
	json_decref(sent);
}

void openai_counts_add(struct openai_counts *sum, const struct openai_counts *more)
{
	sum->requests += more->requests;
	sum->refused += more->refused;
	sum->answers += more->answers;
	sum->prompt_tokens += more->prompt_tokens;
	sum->cached_tokens += more->cached_tokens;
	sum->new_tokens += more->new_tokens;
	sum->guessed += more->guessed;
	sum->accepted += more->accepted;
}

struct openai_counts openai_counted(struct openai *s)
{
	pthread_mutex_lock(&s->lock);
	struct openai_counts c = s->counts;
	pthread_mutex_unlock(&s->lock);
	return c;
}

/* Another one for each start: what nobody gives a seed is drawn otherwise. */
static uint64_t salt_of(int64_t created)
{
	uint32_t words[4];

	rng_words((struct rng_key){ (uint64_t)created, RNG_SAMPLE }, 0, 0, 0, words);
	return (uint64_t)words[0] << 32 | words[1];
}

struct openai *openai_new(const struct openai_options *o)
{
	struct openai *s = mem_alloc(sizeof(*s));

	*s = (struct openai){ .o = *o, .salt = salt_of(o->created), .second = { NAN, NAN }, .token = { NAN, NAN } };
	pthread_mutex_init(&s->lock, NULL);
	openai_names(s, &o->name, 1);
	generate_ends(o->model, &s->ends);
	snprintf(s->fingerprint, sizeof(s->fingerprint), "fp_%.10s", KUNGFU_VERSION);
	pthread_mutex_init(&s->calls, NULL);
	s->guard_in = o->guard ? guard_scratch_new(o->guard) : NULL;
	s->guard_apart = o->guard ? guard_scratch_new(o->guard) : NULL;
	s->guard_out = o->guard && o->guard_outputs ? guard_scratch_new(o->guard) : NULL;
	page_policy(page_serve, &s->page_policy);
	return s;
}

void openai_free(struct openai *s)
{
	if (!s)
		return;
	tokens_release(&s->ends);
	scorer_free(s->scorer);
	openai_grammars_free(s->grammars);
	buf_release(&s->call_marks);
	pthread_mutex_destroy(&s->calls);
	guard_scratch_free(s->guard_in);
	guard_scratch_free(s->guard_apart);
	guard_scratch_free(s->guard_out);
	buf_release(&s->page_policy);
	for (size_t i = 0; i < s->n_names; i++)
		mem_free(s->names[i]);
	mem_free(s->names);
	mem_free(s->own);
	pthread_mutex_destroy(&s->lock);
	mem_free(s);
}
