/* keys: holders, a list that only grows, so that a request may point to its own whatever is read meanwhile; keys and
 * limits of them are those of the last file that could be read. What was used is counted for names, known or not, by
 * periods of UTC's calendar. See keys.h for the file. */
#include "serve/keys.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/human.h"
#include "base/io.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sentence.h"
#include "base/sha.h"
#include "base/yaml_json.h"
#include "gas/meter.h"

enum period { DAY, MONTH, TOTAL, PERIODS };
enum kind { TOKENS, JOULES, MONEY, KINDS };
enum { LIKELY_MOST = 20 };
static const char *const period_names[] = { "day", "month", "total" };
static const double keep_seconds = 1;

/* What may be used, and whatever else a file says of a name. */
struct limits {
	double most[PERIODS][KINDS];   /* NAN: as much as it likes */
	int top_logprobs;
	bool forced_logprobs;
};

struct holder {
	char *name;
	struct limits limits;
	double used[PERIODS][KINDS], held[KINDS];
	struct holder *next;
};

struct key { char *text; struct holder *holder; };

struct row { struct served s; bool changed; };

struct keys {
	struct keys_options o;
	pthread_mutex_t lock;
	struct holder *holders;
	struct key *list;              /* [n] */
	size_t n;
	bool wanted;                   /* some were given once: nobody asks without one from then on */
	char day[11];                  /* that `used` is of */
	char currency[4];
	struct row *rows;              /* [n_rows] of this run */
	size_t n_rows;
	struct served *models;         /* [n_models] since the start */
	size_t n_models;
	double kept;
};

static const struct limits no_limits = { .most = { { NAN, NAN, NAN }, { NAN, NAN, NAN }, { NAN, NAN, NAN } },
	                                 .top_logprobs = LIKELY_MOST,
	                                 .forced_logprobs = true };

/* --- a file, as it is read before anything is changed --- */

struct named { char *key, *name; struct limits limits; };
struct reading {
	const struct keys *k;
	struct named *list;            /* [n] a key each */
	size_t n;
};

static void reading_release(struct reading *r)
{
	for (size_t i = 0; i < r->n; i++) {
		mem_free(r->list[i].key);
		mem_free(r->list[i].name);
	}
	mem_free(r->list);
}

static void add_key(struct reading *r, const char *key, const char *name, const struct limits *l)
{
	char own[16], hex[65];

	if (!name) {
		sha_256(key, strlen(key), hex);
		snprintf(own, sizeof(own), "key-%.8s", hex);
	}
	r->list = mem_grow(r->list, r->n + 1, sizeof(*r->list));
	r->list[r->n++] = (struct named){ mem_strdup(key), mem_strdup(name ? name : own), *l };
}

static int read_tokens(const char *text, double *out)
{
	char *end;
	double x = strtod(text, &end), by = 1;

	end += strspn(end, " ");
	if (*end == 'k' || *end == 'M')
		by = *end++ == 'k' ? 1e3 : 1e6;
	end += strspn(end, " ");
	*out = x * by;
	return strcmp(end, "tokens") == 0 && *out >= 0 && isfinite(*out) ? 0 : -1;
}

/* "100k tokens, 2 kJ, 0.05 EUR": tokens here, the others as --max-gas reads them. */
static int read_budget(const struct keys *k, const char *text, double most[KINDS], struct err *e)
{
	char *copy = mem_strdup(text), *save = NULL;
	struct buf rest = BUF_INIT;
	struct gas_limit l = { .seconds = NAN, .joules = NAN, .money = NAN };
	int status = 0;

	for (char *one = strtok_r(copy, ",", &save); one && status == 0; one = strtok_r(NULL, ",", &save)) {
		one += strspn(one, " ");
		if (!strstr(one, "tokens"))
			buf_addf(&rest, "%s%s", rest.len ? "," : "", one);
		else if (!isnan(most[TOKENS]) || read_tokens(one, &most[TOKENS]) < 0)
			status = err_set(e, "\"%s\" is no budget of tokens, as 100000 tokens or 5M tokens", one);
	}
	if (status == 0 && rest.len)
		status = gas_limit_parse(&l, buf_str(&rest), e);
	if (status == 0 && !isnan(l.seconds))
		status = err_set(e, "\"%s\": a key has no budget of time", text);
	if (status == 0 && (!isnan(l.joules) || !isnan(l.money)) && !k->o.convert)
		status = err_set(e, "\"%s\": energy and money are not known here", text);
	most[JOULES] = l.joules;
	if (status == 0 && !isnan(l.money))
		status = k->o.convert(l.money, l.currency, &most[MONEY], e);
	buf_release(&rest);
	mem_free(copy);
	return status;
}

static int read_budgets(const struct keys *k, const json_t *j, struct limits *l, struct err *e)
{
	const char *key;
	json_t *value;

	if (!json_is_object(j) || !json_object_size(j))
		return err_set(e, "budget: day, month or total was wanted, each with amounts");
	if (!k->o.keep)
		return err_set(e, "budget: what was used is kept in the ledger, which is off");
	json_object_foreach ((json_t *)j, key, value) {
		enum period p = DAY;
		while (p < PERIODS && strcmp(key, period_names[p]))
			p++;
		if (p == PERIODS)
			return err_set(e, "budget: %.40s is none of day, month and total", key);
		if (!json_is_string(value))
			return err_set(e, "budget: %s: amounts were wanted, as 100k tokens, 2 kJ, 0.05 EUR", key);
		if (read_budget(k, json_string_value(value), l->most[p], e) < 0)
			return err_prefix(e, "budget: %s", key);
	}
	return 0;
}

static int read_limits(const struct keys *k, const json_t *j, struct limits *l, struct err *e)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)j, key, value) {
		bool none = json_is_string(value) && !strcmp(json_string_value(value), "none");
		if (!strcmp(key, "key"))
			continue;
		if (!strcmp(key, "budget")) {
			if (read_budgets(k, value, l, e) < 0)
				return -1;
		} else if (!strcmp(key, "top_logprobs")) {
			if (!none && !(json_is_integer(value) && json_integer_value(value) >= 0 &&
			               json_integer_value(value) <= LIKELY_MOST))
				return err_set(e, "top_logprobs: none or a number from 0 to %d was wanted",
				               LIKELY_MOST);
			l->top_logprobs = none ? -1 : (int)json_integer_value(value);
		} else if (!strcmp(key, "forced_logprobs")) {
			if (!json_is_boolean(value))
				return err_set(e, "forced_logprobs: true or false was wanted");
			l->forced_logprobs = json_is_true(value);
		} else {
			return err_set(e, "%.60s is not known here", key);
		}
	}
	return 0;
}

/* The keys of a name: a text, or a list of them. */
static int read_name(struct reading *r, const char *name, const json_t *v, struct err *e)
{
	const json_t *key = json_is_object(v) ? json_object_get(v, "key") : v;
	size_t n = json_is_array(key) ? json_array_size(key) : 1;
	struct limits l = no_limits;

	if (!*name || strlen(name) > 100)
		return err_set(e, "a name of 1 to 100 bytes was wanted");
	if (json_is_object(v) && read_limits(r->k, v, &l, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const json_t *one = json_is_array(key) ? json_array_get(key, i) : key;
		if (!json_string_length(one))
			return err_set(e, "its key was wanted, a text (a number stands in quotes)");
		add_key(r, json_string_value(one), name, &l);
	}
	return n ? 0 : err_set(e, "it has no key");
}

static int read_yaml(struct reading *r, const char *text, size_t n, struct err *e)
{
	json_t *all = yaml_json(text, n, r->k->o.file, e), *value;
	const char *name;
	int status = all ? 0 : -1;

	if (all && !json_is_object(all) && !json_is_null(all))
		status = err_set(e, "%s: names with their keys were wanted", r->k->o.file);
	json_object_foreach (all, name, value)
		if (status == 0 && (status = read_name(r, name, value, e)) < 0)
			err_prefix(e, "%s: %.100s", r->k->o.file, name);
	json_decref(all);
	return status;
}

static void read_lines(struct reading *r, const char *text, size_t n)
{
	char *copy = mem_strndup(text, n), *rest = copy;

	for (char *line; (line = strsep(&rest, "\r\n"));)
		if (*line)
			add_key(r, line, NULL, &no_limits);
	mem_free(copy);
}

static int check_twice(const struct reading *r, struct err *e)
{
	for (size_t i = 0; i < r->n; i++)
		for (size_t j = 0; j < i; j++)
			if (!strcmp(r->list[i].key, r->list[j].key) && strcmp(r->list[i].name, r->list[j].name) != 0)
				return err_set(e, "%.100s and %.100s have the same key", r->list[j].name,
				               r->list[i].name);
	return 0;
}

static int read_all(struct reading *r, struct err *e)
{
	const struct keys_options *o = &r->k->o;
	struct buf text = BUF_INIT;
	int status = o->file ? io_read(&text, o->file, e) : 0;

	for (size_t i = 0; i < o->n_given; i++)
		add_key(r, o->given[i], NULL, &no_limits);
	if (status == 0 && o->file && yaml_is_named(o->file))
		status = read_yaml(r, buf_str(&text), text.len, e);
	else if (status == 0)
		read_lines(r, buf_str(&text), text.len);
	buf_release(&text);
	if (status == 0 && o->file && r->n == o->n_given)
		status = err_set(e, "--api-key-file %s has no key", o->file);
	return status < 0 ? -1 : check_twice(r, e);
}

/* --- holders --- */

static struct holder *holder_locked(struct keys *k, const char *name)
{
	struct holder *h = k->holders;

	while (h && strcmp(h->name, name) != 0)
		h = h->next;
	if (h)
		return h;
	h = mem_alloc(sizeof(*h));
	*h = (struct holder){ .name = mem_strdup(name), .limits = no_limits, .next = k->holders };
	return k->holders = h;
}

static void forget_keys(struct keys *k)
{
	for (size_t i = 0; i < k->n; i++)
		mem_free(k->list[i].text);
	mem_free(k->list);
	k->list = NULL;
	k->n = 0;
}

int keys_read(struct keys *k, struct err *e)
{
	struct reading r = { .k = k };
	int status = read_all(&r, e);

	if (status == 0) {
		pthread_mutex_lock(&k->lock);
		forget_keys(k);
		for (struct holder *h = k->holders; h; h = h->next)
			h->limits = no_limits;
		k->list = mem_array(r.n, sizeof(*k->list));
		for (size_t i = 0; i < r.n; i++) {
			struct holder *h = holder_locked(k, r.list[i].name);
			h->limits = r.list[i].limits;
			k->list[k->n++] = (struct key){ mem_strdup(r.list[i].key), h };
		}
		k->wanted |= k->n > 0;
		pthread_mutex_unlock(&k->lock);
	}
	reading_release(&r);
	return status;
}

int keys_new(struct keys **out, const struct keys_options *o, struct err *e)
{
	struct keys *k = mem_alloc(sizeof(*k));

	*k = (struct keys){ .o = *o, .kept = -INFINITY };
	pthread_mutex_init(&k->lock, NULL);
	served_day(clock_wall_seconds(), k->day);
	holder_locked(k, "");
	*out = k;
	if (keys_read(k, e) == 0)
		return 0;
	keys_free(k);
	*out = NULL;
	return -1;
}

static void row_release(struct served *s)
{
	mem_free((char *)s->day);
	mem_free((char *)s->key);
	mem_free((char *)s->model);
	mem_free((char *)s->adapter);
}

void keys_free(struct keys *k)
{
	if (!k)
		return;
	forget_keys(k);
	for (struct holder *h = k->holders, *next; h; h = next) {
		next = h->next;
		mem_free(h->name);
		mem_free(h);
	}
	for (size_t i = 0; i < k->n_rows; i++)
		row_release(&k->rows[i].s);
	for (size_t i = 0; i < k->n_models; i++)
		row_release(&k->models[i]);
	mem_free(k->rows);
	mem_free(k->models);
	pthread_mutex_destroy(&k->lock);
	mem_free(k);
}

size_t keys_count(struct keys *k)
{
	pthread_mutex_lock(&k->lock);
	size_t n = k->n;
	pthread_mutex_unlock(&k->lock);
	return n;
}

/* Takes as long whatever the key is. */
static bool same_key(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b);
	unsigned different = n != m;

	for (size_t i = 0; i < n; i++)
		different |= (unsigned char)a[i] ^ (unsigned char)b[m ? i % m : 0];
	return !different;
}

struct holder *keys_holder(struct keys *k, const char *bearer)
{
	struct holder *found = NULL;

	pthread_mutex_lock(&k->lock);
	for (size_t i = 0; bearer && i < k->n; i++)
		if (same_key(bearer, k->list[i].text))
			found = k->list[i].holder;
	if (!k->wanted)
		found = holder_locked(k, "");
	pthread_mutex_unlock(&k->lock);
	return found;
}

struct holder *keys_named(struct keys *k, const char *name)
{
	pthread_mutex_lock(&k->lock);
	struct holder *h = k->holders;
	while (h && strcmp(h->name, name) != 0)
		h = h->next;
	pthread_mutex_unlock(&k->lock);
	return h;
}

const char *holder_name(const struct holder *h) { return h->name; }

int holder_top_logprobs(struct keys *k, const struct holder *h)
{
	pthread_mutex_lock(&k->lock);
	int n = h->limits.top_logprobs;
	pthread_mutex_unlock(&k->lock);
	return n;
}

bool holder_forced_logprobs(struct keys *k, const struct holder *h)
{
	pthread_mutex_lock(&k->lock);
	bool may = h->limits.forced_logprobs;
	pthread_mutex_unlock(&k->lock);
	return may;
}

unsigned holder_budgets(struct keys *k, const struct holder *h)
{
	unsigned kinds = BUDGET_NONE;

	pthread_mutex_lock(&k->lock);
	for (int p = 0; p < PERIODS; p++)
		for (int i = 0; i < KINDS; i++)
			kinds |= isnan(h->limits.most[p][i]) ? 0 : 1U << i;
	pthread_mutex_unlock(&k->lock);
	return kinds;
}

/* --- what is used --- */

/* A day or a month that is over has used nothing. */
static void renew_locked(struct keys *k)
{
	char day[11];

	served_day(clock_wall_seconds(), day);
	if (!strcmp(day, k->day))
		return;
	bool month = strncmp(day, k->day, 7) != 0;
	for (struct holder *h = k->holders; h; h = h->next) {
		memset(h->used[DAY], 0, sizeof(h->used[DAY]));
		if (month)
			memset(h->used[MONTH], 0, sizeof(h->used[MONTH]));
	}
	memcpy(k->day, day, sizeof(k->day));
}

static double renews_in(enum period p)
{
	time_t now = (time_t)clock_wall_seconds();
	struct tm tm;

	gmtime_r(&now, &tm);
	tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
	tm.tm_mday = p == MONTH ? 1 : tm.tm_mday + 1;
	tm.tm_mon += p == MONTH;
	return difftime(timegm(&tm), now);
}

static void amount_text(const struct keys *k, enum kind kind, double x, char out[48])
{
	char number[40];

	if (kind == TOKENS)
		sentence_format(out, 48, "%s tokens", human_count(x, number));
	else if (kind == JOULES)
		gas_joules(x, out);
	else
		human_money(x, k->currency, out);
}

/* There is no room in a period for so much of a kind. */
static void refuse(const struct keys *k, const struct holder *h, enum period p, enum kind kind, double most,
                   struct key_refusal *why)
{
	char wanted[48], used[48], all[48];
	double budget = h->limits.most[p][kind];

	amount_text(k, kind, most, wanted);
	amount_text(k, kind, h->used[p][kind] + h->held[kind], used);
	amount_text(k, kind, budget, all);
	bool beside = h->used[p][kind] + most <= budget; /* what others hold is what is missing */
	*why = (struct key_refusal){ .renews = most <= budget && (beside || p != TOTAL),
		                     .seconds = beside ? 1 : p == TOTAL ? 0 : renews_in(p) };
	if (most > budget)
		snprintf(why->text, sizeof(why->text),
		         "The request may take %s, more than the whole budget of this key, %s %s%s; max_tokens makes "
		         "it smaller",
		         wanted, all, p == TOTAL ? "in " : "a ", period_names[p]);
	else
		snprintf(why->text, sizeof(why->text),
		         "The request may take %s, and of the budget of this key, %s %s%s, %s are used or held by its "
		         "other requests; max_tokens makes it smaller",
		         wanted, all, p == TOTAL ? "in " : "a ", period_names[p], used);
}

static double known(double x) { return isfinite(x) ? x : 0; }

bool keys_hold(struct keys *k, struct holder *h, const struct key_cost *most, struct key_refusal *why)
{
	const double wanted[KINDS] = { known(most->tokens), known(most->joules), known(most->money) };
	bool fits = true;

	pthread_mutex_lock(&k->lock);
	renew_locked(k);
	for (int p = TOTAL; p >= 0 && fits; p--) /* what is over for good is told first */
		for (int i = 0; i < KINDS && fits; i++) {
			fits = !(h->used[p][i] + h->held[i] + wanted[i] > h->limits.most[p][i]);
			if (!fits)
				refuse(k, h, (enum period)p, (enum kind)i, wanted[i], why);
		}
	for (int i = 0; i < KINDS && fits; i++)
		h->held[i] += wanted[i];
	pthread_mutex_unlock(&k->lock);
	return fits;
}

static void use(struct holder *h, bool day, bool month, const struct served *s)
{
	const double took[KINDS] = { (double)(s->tokens_in + s->tokens_out), s->joules, s->money };

	for (int i = 0; i < KINDS; i++) {
		h->used[DAY][i] += day ? took[i] : 0;
		h->used[MONTH][i] += month ? took[i] : 0;
		h->used[TOTAL][i] += took[i];
	}
}

void keys_past(void *keys, const struct served *s)
{
	struct keys *k = keys;

	pthread_mutex_lock(&k->lock);
	renew_locked(k);
	use(holder_locked(k, s->key), !strcmp(s->day, k->day), !strncmp(s->day, k->day, 7), s);
	pthread_mutex_unlock(&k->lock);
}

static struct served named_row(const char *day, const char *key, const struct served *s)
{
	return (struct served){ .day = mem_strdup(day),
		                .key = mem_strdup(key),
		                .model = mem_strdup(s->model),
		                .adapter = mem_strdup(s->adapter) };
}

static bool same_model(const struct served *a, const struct served *b)
{
	return !strcmp(a->model, b->model) && !strcmp(a->adapter, b->adapter);
}

static void add_row(struct keys *k, const struct holder *h, const struct served *s)
{
	size_t i = 0;

	while (i < k->n_rows && !(same_model(&k->rows[i].s, s) && !strcmp(k->rows[i].s.key, h->name) &&
	                          !strcmp(k->rows[i].s.day, k->day)))
		i++;
	if (i == k->n_rows) {
		k->rows = mem_grow(k->rows, k->n_rows + 1, sizeof(*k->rows));
		k->rows[k->n_rows++] = (struct row){ .s = named_row(k->day, h->name, s) };
	}
	served_add(&k->rows[i].s, s);
	k->rows[i].changed = true;
	for (i = 0; i < k->n_models && !same_model(&k->models[i], s);)
		i++;
	if (i == k->n_models) {
		k->models = mem_grow(k->models, k->n_models + 1, sizeof(*k->models));
		k->models[k->n_models++] = named_row("", "", s);
	}
	served_add(&k->models[i], s);
}

void keys_charge(struct keys *k, struct holder *h, const struct key_cost *held, const struct served *s)
{
	const double free[KINDS] = { known(held->tokens), known(held->joules), known(held->money) };

	pthread_mutex_lock(&k->lock);
	renew_locked(k);
	for (int i = 0; i < KINDS; i++)
		h->held[i] = fmax(0, h->held[i] - free[i]);
	if (s) {
		use(h, true, true, s);
		if (s->currency[0])
			memcpy(k->currency, s->currency, sizeof(k->currency));
		add_row(k, h, s);
	}
	pthread_mutex_unlock(&k->lock);
}

void keys_each_model(struct keys *k, void (*each)(void *ctx, const struct served *s), void *ctx)
{
	pthread_mutex_lock(&k->lock);
	for (size_t i = 0; i < k->n_models; i++)
		each(ctx, &k->models[i]);
	pthread_mutex_unlock(&k->lock);
}

/* Rows of days that are over and kept are nobody's any more. */
static void drop_rows(struct keys *k)
{
	size_t n = 0;

	for (size_t i = 0; i < k->n_rows; i++)
		if (k->rows[i].changed || !strcmp(k->rows[i].s.day, k->day))
			k->rows[n++] = k->rows[i];
		else
			row_release(&k->rows[i].s);
	k->n_rows = n;
}

void keys_tick(struct keys *k, double now)
{
	struct served *changed;
	size_t n = 0;

	if (!k->o.keep || now - k->kept < keep_seconds)
		return;
	k->kept = now;
	pthread_mutex_lock(&k->lock);
	changed = mem_array(k->n_rows, sizeof(*changed));
	for (size_t i = 0; i < k->n_rows; i++) {
		if (k->rows[i].changed)
			changed[n++] = k->rows[i].s;
		k->rows[i].changed = false;
	}
	pthread_mutex_unlock(&k->lock);
	/* strings of rows go in drop_rows alone, which is this thread's */
	if (n)
		k->o.keep(k->o.ctx, changed, n);
	mem_free(changed);
	pthread_mutex_lock(&k->lock);
	drop_rows(k);
	pthread_mutex_unlock(&k->lock);
}
