/* serve_names: models by the names of a file. Names of one path are one model: those without an adapter are its own,
 * those with one are adapters over it, so ten of these take a model's memory once.
 *
 * Read again, a path that is new, or has other documents, another folder of adapters or model that guesses, is opened
 * beside those that answer, between two steps of theirs; then all names change at once. A model that nobody names any
 * more is left out of the list, waits until no call is being read that may have seen it (models_idle), until the tasks
 * of such calls have run (a task of its own behind them), and until its answers are there; then it is closed. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "cmd/serve/serve_parts.h"

struct group {
	char *path;
	const char *of_model[ALIAS_OF_MODEL]; /* of the file's rows */
	const char *own[OWN_NAMES];
	const char **names, **paths;   /* [n] adapters over it */
	size_t n_own, n;
	struct serving *serving;
};

struct groups {
	struct aliases file;
	struct group list[MODELS_MOST];
	size_t n;
};

static char *whole(const char *path)
{
	char real[PATH_MAX];

	return mem_strdup(realpath(path, real) ? real : path);
}

static void groups_close(struct groups *g)
{
	for (size_t i = 0; i < g->n; i++) {
		mem_free(g->list[i].path);
		mem_free(g->list[i].names);
		mem_free(g->list[i].paths);
	}
	aliases_close(&g->file);
}

static struct group *group_of(struct groups *g, const char *path)
{
	char *real = whole(path);

	for (size_t i = 0; i < g->n; i++)
		if (!strcmp(g->list[i].path, real)) {
			mem_free(real);
			return &g->list[i];
		}
	if (g->n == MODELS_MOST) {
		mem_free(real);
		return NULL;
	}
	g->list[g->n] = (struct group){ .path = real };
	return &g->list[g->n++];
}

/* What one of a model's names says of the model; another must not say something else. */
static int add_of_model(struct group *to, const struct alias *a, struct err *e)
{
	for (size_t i = 0; i < ALIAS_OF_MODEL; i++) {
		const char *said = a->of_model[i];
		if (said && to->of_model[i] && strcmp(said, to->of_model[i]) != 0)
			return err_set(e, "%s: `%s` is %s, and another name of this model has %s", a->name,
			               alias_keys[i], said, to->of_model[i]);
		if (said)
			to->of_model[i] = said;
	}
	return 0;
}

static int groups_open(struct groups *g, const char *file, struct err *e)
{
	*g = (struct groups){ 0 };
	if (aliases_open(&g->file, file, e) < 0)
		return -1;
	for (size_t i = 0; i < g->file.n; i++) {
		const struct alias *a = &g->file.rows[i];
		struct group *to = group_of(g, a->path);
		if (!to || (!a->adapter && to->n_own == OWN_NAMES)) {
			groups_close(g);
			return err_set(e, "%s has more than %d models, or a model more than %d names", file,
			               MODELS_MOST, OWN_NAMES);
		}
		if (add_of_model(to, a, e) < 0) {
			groups_close(g);
			return -1;
		}
		if (!a->adapter) {
			to->own[to->n_own++] = a->name;
			continue;
		}
		to->names = mem_grow(to->names, to->n + 1, sizeof(*to->names));
		to->paths = mem_grow(to->paths, to->n + 1, sizeof(*to->paths));
		to->names[to->n] = a->name;
		to->paths[to->n++] = a->adapter;
	}
	return 0;
}

/* --- opening --- */

static bool is_same(const char *a, const char *b) { return a && b ? !strcmp(a, b) : !a && !b; }

/* A model that is served as the group wants it. */
static struct serving *serving_of(const struct server *v, const struct group *x)
{
	for (size_t i = 0; i < v->n; i++) {
		bool same = !strcmp(v->list[i]->path, x->path);
		for (size_t k = 0; k < ALIAS_OF_MODEL; k++)
			same &= is_same(v->list[i]->of_model[k], x->of_model[k]);
		if (same)
			return v->list[i];
	}
	return NULL;
}

/* Models of paths that none is served of. */
static int open_new(struct server *v, struct groups *g, struct err *e)
{
	for (size_t i = 0; i < g->n; i++) {
		struct group *x = &g->list[i];
		struct serving_options how = { .path = x->path, .names = x->names, .paths = x->paths, .n = x->n };
		if ((x->serving = serving_of(v, x)))
			continue;
		memcpy(how.of_model, x->of_model, sizeof(how.of_model));
		x->serving = serving_open(v, &how, e);
		if (!x->serving)
			return err_prefix(e, "%s", x->n_own ? x->own[0] : x->names[0]);
	}
	return 0;
}

static bool is_new(const struct server *v, const struct serving *s)
{
	for (size_t i = 0; i < v->n; i++)
		if (v->list[i] == s)
			return false;
	return true;
}

static void close_new(struct server *v, struct groups *g)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->list[i].serving && is_new(v, g->list[i].serving))
			serving_close(g->list[i].serving);
}

/* The list as the groups have it: what is served now that they do not have goes to those that leave. */
static void change_list(struct server *v, const struct groups *g)
{
	struct openai *all[MODELS_MOST];

	for (size_t i = 0; i < v->n; i++) {
		bool stays = false;
		for (size_t k = 0; k < g->n; k++)
			stays |= g->list[k].serving == v->list[i];
		if (stays)
			continue;
		v->leaving = mem_grow(v->leaving, v->n_leaving + 1, sizeof(struct serving *));
		v->leaving[v->n_leaving++] = v->list[i];
		v->list[i]->state = LEFT_OUT;
	}
	v->n = g->n;
	for (size_t i = 0; i < g->n; i++) {
		v->list[i] = g->list[i].serving;
		json_decref(v->list[i]->filed);
		v->list[i]->filed = json_array();
		for (size_t k = 0; k < g->list[i].n; k++)
			json_array_append_new(v->list[i]->filed, json_string(g->list[i].names[k]));
		openai_names(v->list[i]->openai, g->list[i].own, g->list[i].n_own);
		all[i] = v->list[i]->openai;
	}
	models_set(v->models, all, g->n);
	beside_models(v->beside);
}

int names_open(struct server *v, const char *file, struct err *e)
{
	struct groups g;
	int status;

	if (groups_open(&g, file, e) < 0)
		return -1;
	status = open_new(v, &g, e);
	for (size_t i = 0; i < g.n && g.list[i].serving; i++) /* closed with the server from here on */
		v->list[v->n++] = g.list[i].serving;
	if (status == 0)
		status = server_share_memory(v, e);
	for (size_t i = 0; i < v->n && status == 0; i++)
		status = serving_start(v->list[i], e);
	if (status == 0)
		change_list(v, &g);
	groups_close(&g);
	return status;
}

/* --- again --- */

/* An adapter's name stands for a path from now on; what it stood for before stays where that cannot be loaded. */
static void set_adapter(struct adapters *a, const char *name, const char *path, const char *before)
{
	struct err e = ERR_INIT, ignored = ERR_INIT;

	if (before && !strcmp(path, before))
		return;
	if (before)
		adapters_unload(a, name, &ignored);
	if (adapters_load(a, name, path, &e) == 0)
		return;
	log_warn("%s: %s%s", name, e.msg, before ? "; it is what it was" : "");
	if (before)
		adapters_load(a, name, before, &ignored);
}

static const char *path_of(const json_t *list, const char *name)
{
	const json_t *one;
	size_t i;

	json_array_foreach (list, i, one)
		if (!strcmp(json_string_value(json_object_get(one, "name")), name))
			return json_string_value(json_object_get(one, "path"));
	return NULL;
}

static bool has_name(const struct group *g, const char *name)
{
	for (size_t i = 0; i < g->n; i++)
		if (!strcmp(g->names[i], name))
			return true;
	return false;
}

/* The adapters over a model that is served already. */
static void change_adapters(const struct group *g)
{
	struct adapters *a = g->serving->adapters;
	json_t *list = a ? adapters_list(a) : json_array();
	const json_t *one;
	struct err ignored = ERR_INIT;
	size_t i;

	json_array_foreach (a ? g->serving->filed : NULL, i, one)
		if (!has_name(g, json_string_value(one)))
			adapters_unload(a, json_string_value(one), &ignored);
	for (i = 0; i < g->n; i++)
		if (a)
			set_adapter(a, g->names[i], g->paths[i], path_of(list, g->names[i]));
		else
			log_warn("%s: %s makes no text: no adapters are named over it", g->names[i], g->path);
	json_decref(list);
}

/* Is there room for those that are new, beside all that still answer? They are asked from then on. */
static int start_new(struct server *v, struct groups *g, struct err *e)
{
	struct server beside = *v;
	int status = 0;

	for (size_t i = 0; i < g->n && status == 0; i++) {
		if (!is_new(v, g->list[i].serving))
			continue;
		if (beside.n == MODELS_MOST)
			return err_set(e, "more than %d models", MODELS_MOST);
		beside.list[beside.n++] = g->list[i].serving;
	}
	status = server_share_memory(&beside, e);
	for (size_t i = v->n; i < beside.n && status == 0; i++)
		status = serving_start(beside.list[i], e);
	return status;
}

void names_read(struct server *v)
{
	struct groups g;
	struct err e = ERR_INIT;
	struct serving *old[MODELS_MOST];
	size_t n = v->n;

	memcpy(old, v->list, n * sizeof(struct serving *));
	if (groups_open(&g, v->names, &e) < 0) {
		log_warn("names stay as they are: %s", e.msg);
		return;
	}
	if (open_new(v, &g, &e) < 0 || start_new(v, &g, &e) < 0) {
		log_warn("names stay as they are: %s", e.msg);
		close_new(v, &g);
		groups_close(&g);
		return;
	}
	for (size_t i = 0; i < g.n; i++)
		for (size_t k = 0; k < n; k++)
			if (g.list[i].serving == old[k])
				change_adapters(&g.list[i]);
	change_list(v, &g);
	log_say("names are read: %zu, of %zu models", g.file.n, g.n);
	groups_close(&g);
}

/* --- those that leave --- */

static void drained(void *ctx) { ((struct serving *)ctx)->state = DRAINED; }

static bool may_go(struct server *v, struct serving *s)
{
	if (s->state == LEFT_OUT && models_idle(v->models)) {
		s->state = UNREAD;
		engine_do(v->engine, drained, s);
	}
	return s->state == DRAINED && !openai_asked(s->openai);
}

void names_tick(struct server *v)
{
	struct err ignored = ERR_INIT;
	size_t n = 0, before = v->n_leaving;

	for (size_t i = 0; i < before; i++) {
		struct serving *s = v->leaving[i];
		if (!may_go(v, s)) {
			v->leaving[n++] = s;
			continue;
		}
		struct openai_counts c = openai_counted(s->openai);
		openai_counts_add(&v->counts, &c);
		serving_close(s);
	}
	v->n_leaving = n;
	if (n < before)
		server_share_memory(v, &ignored);
}
