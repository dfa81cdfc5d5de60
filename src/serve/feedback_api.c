/* feedback_api: which call is which, who may make it, and the short ones. Labels and turns have files of their own. */
#include "serve/feedback_api.h"

#include <stdlib.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/utf8.h"
#include "feedback/report.h"
#include "serve/feedback_call.h"
#include "serve/page.h"

extern const char page_feedback[];

enum { REPORT_DRAWS = 200, NAME_MAX_BYTES = 64 };

struct feedback_api {
	struct feedback *f;
	struct shelf shelf;
	struct informed *informed;      /* borrowed, or NULL */
	struct buf policy;              /* the page's Content-Security-Policy */
	json_t *report;                 /* the last one, */
	size_t labels;                  /* of so many labels, */
	int64_t last;                   /* the last of which is this */
};

/* --- the page --- */

struct feedback_api *feedback_api_new(struct feedback *f, struct informed *informed)
{
	struct feedback_api *a = mem_alloc(sizeof(*a));

	a->f = f;
	a->informed = informed;
	page_policy(page_feedback, &a->policy);
	return a;
}

void feedback_api_free(struct feedback_api *a)
{
	if (!a)
		return;
	buf_release(&a->policy);
	arena_release(&a->shelf.mem);
	json_decref(a->report);
	mem_free(a);
}

static void answer_page(const struct feedback_api *a, struct http_reply *r)
{
	r->type = "text/html; charset=utf-8";
	r->policy = buf_str(&a->policy);
	buf_adds(&r->body, page_feedback);
}

/* --- calls --- */

static json_t *classes(const struct feedback_study *s)
{
	json_t *list = s->labels ? json_array() : json_null();

	for (size_t i = 0; s->labels && s->labels[i]; i++)
		json_array_append_new(list, json_string(s->labels[i]));
	return list;
}

static int call_session(struct feedback_api *a, struct call *c, struct err *e)
{
	const struct feedback_study *study = feedback_study(c->f);
	struct said s;

	(void)a;
	json_decref(c->answer);
	c->answer = json_pack("{s:s, s:s, s:s, s:s?, s:o, s:i, s:i}", "rater", c->who.name, "role",
	                      c->who.role == ROLE_OWNER ? "owner" : "rater", "ask", feedback_ask_names[study->ask],
	                      "instructions", study->instructions, "labels", classes(study), "scale", study->scale,
	                      "answers", study->n_answers);
	return call_said(c, &s, e) < 0 ? -1 : call_progress(c, &s, e);
}

static int call_next(struct feedback_api *a, struct call *c, struct err *e)
{
	struct turn t = { 0 };
	struct said s;

	(void)a;
	if (call_said(c, &s, e) < 0 || turn_next(c, &s, &t, e) < 0)
		return -1;
	json_object_set_new(c->answer, "item", turn_json(&t));
	return call_progress(c, &s, e);
}

static int call_undo(struct feedback_api *a, struct call *c, struct err *e)
{
	const json_t *key = json_object_get(c->sent, "key");
	struct turn t = { 0 };
	struct said s;

	(void)a;
	if (key && !json_is_string(key) && !json_is_null(key))
		return call_refuse(c, 400, "key", "key is a text");
	int status = feedback_withdraw(c->f, c->who.id, json_string_value(key), e);
	if (status > 0)
		return call_refuse(c, 404, "label", "there is no label of yours to take back");
	if (status < 0 || turn_open(c, &t, e) < 0 || call_said(c, &s, e) < 0)
		return -1;
	json_object_set_new(c->answer, "undone", json_true());
	json_object_set_new(c->answer, "item", turn_json(&t));
	return call_progress(c, &s, e);
}

static int save(struct feedback_api *a, struct call *c, struct err *e)
{
	(void)a;
	return call_label(c, e);
}

static int call_report(struct feedback_api *a, struct call *c, struct err *e)
{
	struct feedback_rater *raters;
	struct report r;
	struct said s;
	size_t n;

	if (call_said(c, &s, e) < 0)
		return -1;
	int64_t last = s.n_labels ? s.labels[s.n_labels - 1].id : 0;
	if (!a->report || a->labels != s.n_labels || a->last != last) {
		if (feedback_raters(c->f, &c->mem, &raters, &n, e) < 0)
			return -1;
		report_of(&r, &s, raters, n, &(struct resample){ REPORT_DRAWS, 1 }, &c->mem);
		json_decref(a->report);
		a->report = report_json(&r);
		a->labels = s.n_labels;
		a->last = last;
	}
	json_decref(c->answer);
	c->answer = json_incref(a->report);
	return 0;
}

static bool is_name(const char *name)
{
	if (!name || !*name || strlen(name) > NAME_MAX_BYTES || !utf8_valid(name, strlen(name), NULL))
		return false;
	for (const char *p = name; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return false;
	return true;
}

static int call_invite(struct feedback_api *a, struct call *c, struct err *e)
{
	const char *name = json_string_value(json_object_get(c->sent, "name"));
	struct feedback_rater *raters;
	char token[33];
	size_t n;

	if (!is_name(name))
		return call_refuse(c, 400, "name", "a rater's name is a text of 1 to %d bytes", NAME_MAX_BYTES);
	if (feedback_raters(c->f, &c->mem, &raters, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (!strcmp(raters[i].name, name) && raters[i].role == ROLE_OWNER)
			return call_refuse(c, 409, "name", "%s is an owner already", name);
	if (feedback_invite(c->f, name, ROLE_RATER, token, e) < 0)
		return -1;
	json_decref(c->answer);
	c->answer = json_pack("{s:s, s:s, s:o}", "name", name, "token", token, "path",
	                      json_sprintf("/#%s", token));
	json_decref(a->report); /* one more rater */
	a->report = NULL;
	return 0;
}

static const struct route {
	const char *method, *path;
	enum feedback_role role;        /* of who may */
	int (*run)(struct feedback_api *a, struct call *c, struct err *e);
} routes[] = {
	{ "GET", "/" },                 /* the page, for everybody */
	{ "GET", "/api/session", ROLE_RATER, call_session },
	{ "GET", "/api/next", ROLE_RATER, call_next },
	{ "POST", "/api/labels", ROLE_RATER, save },
	{ "POST", "/api/undo", ROLE_RATER, call_undo },
	{ "GET", "/api/report", ROLE_OWNER, call_report },
	{ "POST", "/api/invitations", ROLE_OWNER, call_invite },
};

/* --- from a request to a call --- */

static bool is_method(const char *method, const char *wanted)
{
	return !strcmp(method, wanted) || (!strcmp(method, "HEAD") && !strcmp(wanted, "GET"));
}

/* NULL: the reply says what there is. */
static const struct route *route_of(const struct http_request *q, struct http_reply *r)
{
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		if (strcmp(routes[i].path, q->path))
			continue;
		if (is_method(q->method, routes[i].method))
			return &routes[i];
		r->allow = !strcmp(routes[i].method, "GET") ? "GET, HEAD" : "POST";
	}
	if (r->allow)
		http_error(r, 405, "method", "%.100s takes %s", q->path, r->allow);
	else
		http_error(r, 404, "path", "there is no %.100s here", q->path);
	return NULL;
}

/* NULL: the reply says what there is, and who may. */
static const struct route *admit(struct call *c, const struct http_request *q)
{
	const struct route *route = route_of(q, c->reply);
	struct err e = ERR_INIT;

	if (!route || !route->run)
		return route;
	int status = q->bearer ? feedback_admit(c->f, q->bearer, &c->who, &c->mem, &e) : 1;
	if (status < 0)
		http_error(c->reply, 500, "file", "%s", e.msg);
	else if (status)
		http_error(c->reply, 401, "token", q->bearer ? "this token lets nobody in" : "a token is wanted");
	else if (route->role == ROLE_OWNER && c->who.role != ROLE_OWNER)
		http_error(c->reply, 403, "role", "this is the owner's");
	else
		return route;
	return NULL;
}

static void run(struct feedback_api *a, const struct route *route, const struct http_request *q, struct call *c)
{
	json_t *sent = !strcmp(route->method, "POST") ? http_json(q, c->reply) : NULL;
	struct err e = ERR_INIT;

	c->sent = sent;
	c->answer = json_object();
	if (c->reply->status == 200 && route->run(a, c, &e) < 0)
		http_error(c->reply, 500, "file", "%s", e.msg);
	if (c->reply->status == 200) {
		char *line = jsonx_line(c->answer);

		buf_adds(&c->reply->body, line);
		mem_free(line);
	}
	json_decref(c->answer);
	json_decref(sent);
}

bool feedback_api_admit(void *api, const struct http_request *q, struct http_reply *r)
{
	struct feedback_api *a = api;
	struct call c = { a->f, .reply = r, .mem = ARENA_INIT };
	const struct route *route = admit(&c, q);

	arena_release(&c.mem);
	return route != NULL;
}

void feedback_api_answer(void *api, const struct http_request *q, struct http_reply *r)
{
	struct feedback_api *a = api;
	struct call c = { a->f, &a->shelf, a->informed, .reply = r, .mem = ARENA_INIT };
	const struct route *route = admit(&c, q);

	if (route && !route->run)
		answer_page(a, r);
	else if (route)
		run(a, route, q, &c);
	arena_release(&c.mem);
}
