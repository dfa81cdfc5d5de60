/* entry: what the ledger knows of one run, as a table of columns, and its JSON. See ledger.h.
 *
 * The table is the only list of what a run has: the file's schema, INSERT and SELECT, JSON in and out, CSV and `gas
 * export --help` come from it. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "gas/ledger_parts.h"

#define TEXT(name, field, help) { name, COLUMN_TEXT, offsetof(struct entry, field), 0, false, NULL, help }
#define JSON(name, field, help) { name, COLUMN_JSON, offsetof(struct entry, field), 0, false, NULL, help }
#define INT(name, field, unit, help) { name, COLUMN_INT, offsetof(struct entry, field), 0, false, unit, help }
#define REAL(name, field, unit, help) { name, COLUMN_REAL, offsetof(struct entry, field), 0, false, unit, help }
#define CHARS(name, field, help) \
	{ \
		name, COLUMN_TEXT, offsetof(struct entry, field), sizeof(((struct entry *)0)->field), false, NULL, \
			help \
	}
#define INNER(name, type, field, help) { name, type, offsetof(struct entry, field), 0, true, NULL, help }

const struct column entry_columns[] = {
	TEXT("id", id, "UUID, unique on every machine"),
	TEXT("command", command, "its one or two words"),
	TEXT("status", status, "running, finished, failed, stopped, killed, declared"),
	INT("exit_status", exit_status, NULL, "of the process"),
	TEXT("error", error, "the sentence it failed with"),
	TEXT("began", began, "wall clock, UTC; for eyes, durations are not made of it"),
	TEXT("ended", ended, "wall clock, UTC"),
	REAL("seconds", gas.seconds, "s", "of the steady clock, the machine's sleep left out"),
	REAL("cpu_seconds", gas.cpu_seconds, "s", "of all threads"),
	REAL("suspended_seconds", gas.suspended_seconds, "s", "that the machine slept meanwhile"),
	INT("peak_rss_bytes", gas.peak_rss_bytes, "B", "largest resident set"),
	INT("mean_rss_bytes", gas.mean_rss_bytes, "B", "mean resident set"),
	INT("bytes_read", gas.bytes_read, "B", "from storage"),
	INT("bytes_written", gas.bytes_written, "B", "to storage"),
	INT("tokens_in", gas.tokens_in, NULL, "tokens read: prompts, documents"),
	INT("tokens_out", gas.tokens_out, NULL, "tokens generated"),
	INT("tokens_supervised", gas.tokens_supervised, NULL, "tokens that were trained on or scored"),
	REAL("flops", gas.flops, NULL, "floating-point operations, from the plan of what was run"),
	REAL("int_ops", gas.int_ops, NULL, "integer operations of int8 arithmetic"),
	REAL("human_seconds", gas.human_seconds, "s", "of people who labelled, as told"),
	REAL("joules", gas.energy.joules, "J", "this run's share of what the counted parts took, idle included"),
	REAL("joules_low", gas.energy.low, "J", "lower bound"),
	REAL("joules_high", gas.energy.high, "J", "upper bound"),
	REAL("joules_idle", gas.energy.idle, "J", "of it: what the machine takes doing nothing"),
	REAL("joules_marginal", gas.energy.marginal, "J", "of it: what came on top"),
	REAL("machine_joules", gas.energy.machine_joules, "J", "of all that ran on the machine meanwhile"),
	REAL("share", gas.energy.share, NULL, "of the machine's busy processor time, 0 to 1"),
	{ "energy_method", COLUMN_METHOD, offsetof(struct entry, gas.energy.method), 0, false, NULL,
	  "none, measured, mixed, estimated" },
	CHARS("energy_source", gas.energy.source, "which counters, or which model"),
	CHARS("energy_reason", gas.energy.reason, "what is missing or was lost"),
	REAL("money", gas.money.total, NULL, "all that is known of it, in `currency`"),
	REAL("money_low", gas.money.low, NULL, "lower bound"),
	REAL("money_high", gas.money.high, NULL, "upper bound"),
	REAL("money_electricity", gas.money.electricity, NULL, "OPEX"),
	REAL("money_rent", gas.money.rent, NULL, "OPEX, machine hours"),
	REAL("money_people", gas.money.people, NULL, "OPEX, labelling"),
	REAL("money_capex", gas.money.capex, NULL, "CAPEX, the machine's wear over its life"),
	CHARS("currency", gas.money.currency, "ISO 4217"),
	REAL("grams_co2", gas.grams_co2, "g", "CO2 equivalent of the electricity"),
	REAL("grams_co2_low", gas.grams_co2_low, "g", "lower bound"),
	REAL("grams_co2_high", gas.grams_co2_high, "g", "upper bound"),
	INT("seed", seed, NULL, "of the run"),
	TEXT("directory", directory, "of the run"),
	TEXT("machine", machine, "hash of the machine's id and name"),
	TEXT("processor", processor, "as the system names it"),
	INT("threads", threads, NULL, "of the pool"),
	TEXT("kernels", kernels, "instruction set"),
	TEXT("version", version, "of kungfu"),
	JSON("argv", argv, "words after the command"),
	JSON("prediction", prediction, "what the plan said"),
	JSON("metrics", metrics, "what the summary said"),
	JSON("phases", phases, "with --gas phases or requests"),
	JSON("requests", requests, "with --gas requests: answers, turns or rows, each with its share"),
	TEXT("note", note, "how a declared or killed run's figures came about"),
	TEXT("parent", parent, "id of the run of which this one is a part: what it took is counted there too"),
	INNER("boot", COLUMN_TEXT, boot, "boot id of the kernel it runs under"),
	INNER("pid", COLUMN_INT, pid, "process"),
	INNER("pid_start", COLUMN_INT, pid_start, "its start, in ticks since boot"),
	INNER("pid_space", COLUMN_TEXT, pid_space, "its namespace of process ids"),
	{ 0 }
};

void gas_none(struct gas *g)
{
	*g = (struct gas){
		.seconds = NAN,
		.cpu_seconds = NAN,
		.suspended_seconds = NAN,
		.peak_rss_bytes = -1,
		.mean_rss_bytes = -1,
		.bytes_read = -1,
		.bytes_written = -1,
		.tokens_in = -1,
		.tokens_out = -1,
		.tokens_supervised = -1,
		.flops = NAN,
		.int_ops = NAN,
		.human_seconds = NAN,
		.energy = { .joules = NAN,
		            .low = NAN,
		            .high = NAN,
		            .idle = NAN,
		            .marginal = NAN,
		            .machine_joules = NAN,
		            .share = NAN },
		.money = { .total = NAN,
		           .low = NAN,
		           .high = NAN,
		           .electricity = NAN,
		           .rent = NAN,
		           .people = NAN,
		           .capex = NAN },
		.grams_co2 = NAN,
		.grams_co2_low = NAN,
		.grams_co2_high = NAN,
	};
}

void entry_init(struct entry *x)
{
	*x = (struct entry){ .exit_status = -1, .seed = -1, .threads = -1, .pid = -1, .pid_start = -1 };
	gas_none(&x->gas);
}

/* --- who we are --- */

static const char *new_id(struct arena *a)
{
	uint8_t b[16];
	char *text = arena_alloc(a, 37), *at = text;

	if (getrandom(b, sizeof(b), 0) != (ssize_t)sizeof(b))
		BUG("getrandom: %s", strerror(errno));
	b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);
	b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
	for (int i = 0; i < 16; i++)
		at += sprintf(at, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", b[i]);
	return text;
}

/* A small file's first line; NULL when it cannot be read. */
static const char *first_line(struct arena *a, const char *path)
{
	struct buf text = BUF_INIT;
	struct err ignored = ERR_INIT;
	const char *line = NULL;

	if (io_read(&text, path, &ignored) == 0 && text.len)
		line = arena_strndup(a, text.data, strcspn(text.data, "\n"));
	buf_release(&text);
	return line;
}

const char *this_machine(struct arena *a)
{
	struct utsname name;
	const char *id = first_line(a, "/etc/machine-id");
	char hex[33];

	uname(&name);
	const char *both = arena_printf(a, "%s %s", id ? id : "", name.nodename);
	hash_hex(both, strlen(both), hex);
	return arena_strndup(a, hex, 16);
}

const char *this_boot(struct arena *a) { return first_line(a, "/proc/sys/kernel/random/boot_id"); }

const char *this_pid_space(struct arena *a)
{
	char link[64];
	ssize_t n = readlink("/proc/self/ns/pid", link, sizeof(link));
	return n > 0 ? arena_strndup(a, link, (size_t)n) : NULL;
}

/* The name in brackets may hold anything, so fields are counted after the last one. */
int64_t process_start(int64_t pid)
{
	char path[64], *at;
	long long start = -1;
	struct buf text = BUF_INIT;
	struct err ignored = ERR_INIT;

	snprintf(path, sizeof(path), "/proc/%lld/stat", (long long)pid);
	if (io_read(&text, path, &ignored) == 0 && text.len && (at = strrchr(text.data, ')')))
		if (sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %lld",
		           &start) != 1)
			start = -1;
	buf_release(&text);
	return start;
}

void entry_identify(struct entry *x, struct arena *a)
{
	char now[32];

	clock_iso(now);
	x->id = new_id(a);
	x->began = arena_strdup(a, now);
	x->machine = this_machine(a);
	x->boot = this_boot(a);
	x->pid_space = this_pid_space(a);
	x->pid = getpid();
	x->pid_start = process_start(x->pid);
	x->status = "running";
}

/* --- uses --- */

bool entry_is_use(const struct entry *x)
{
	static const char *const only_ask[] = { "plan",      "info",      "data lint", "bench",
		                                "gas bench", "gas scale", "data",      "gas marginal" };

	for (size_t i = 0; i < ARRAY_LEN(only_ask); i++)
		if (!strcmp(x->command, only_ask[i]))
			return false;
	if (x->parent)
		return false;
	return !strcmp(x->status, "finished") || !strcmp(x->status, "stopped");
}

/* --- JSON --- */

static json_t *column_json(const struct column *c, const struct entry *x)
{
	const void *field = (const char *)x + c->offset;
	const char *text = c->width                                         ? field :
	                   c->type == COLUMN_TEXT || c->type == COLUMN_JSON ? *(const char *const *)field :
	                                                                      NULL;
	json_t *j = NULL;

	switch (c->type) {
	case COLUMN_INT:
		return *(const int64_t *)field < 0 ? json_null() : json_integer(*(const int64_t *)field);
	case COLUMN_REAL:
		return jsonx_number(*(const double *)field);
	case COLUMN_METHOD:
		return json_string(energy_method_name(*(const enum energy_method *)field));
	case COLUMN_JSON:
		j = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
		return j ? j : json_null();
	case COLUMN_TEXT:
		j = text && *text ? jsonx_path(text) : NULL;
		return j ? j : json_null();
	}
	BUG("column %s has no type", c->name);
}

static void put_text(json_t *j, const char *key, const char *text)
{
	json_t *value = text ? jsonx_path(text) : NULL;
	json_object_set_new(j, key, value ? value : json_null());
}

static void put_count(json_t *j, const char *key, int64_t n)
{
	json_object_set_new(j, key, n < 0 ? json_null() : json_integer(n));
}

static json_t *use_json(const struct artefact_use *u)
{
	const struct artefact *a = &u->artefact;
	json_t *j = json_object();

	put_text(j, "role", u->role);
	json_object_set_new(j, "out", json_boolean(u->out));
	put_text(j, "hash", a->hash);
	put_text(j, "kind", a->kind);
	put_text(j, "name", a->name);
	put_text(j, "path", a->path);
	put_text(j, "source", a->source);
	put_count(j, "bytes", a->bytes);
	put_count(j, "parameters", a->parameters);
	put_count(j, "tokens", a->tokens);
	return j;
}

json_t *entry_json(const struct entry *x, bool inner)
{
	json_t *j = json_object(), *uses = json_array();

	for (const struct column *c = entry_columns; c->name; c++)
		if (inner || !c->inner)
			json_object_set_new(j, c->name, column_json(c, x));
	for (size_t i = 0; i < x->n_uses; i++)
		json_array_append_new(uses, use_json(&x->uses[i]));
	json_object_set_new(j, "artefacts", uses);
	if (x->n_served) {
		json_t *served = json_array();
		for (size_t i = 0; i < x->n_served; i++)
			json_array_append_new(served, served_json(&x->served[i]));
		json_object_set_new(j, "served", served);
	}
	return j;
}

/* --- and back --- */

static int wrong(const char *where, const char *key, const char *wanted, struct err *e)
{
	return err_set(e, "%s: \"%s\": %s was wanted", where, key, wanted);
}

static int set_text(const struct column *c, void *field, const char *text, struct arena *a, const char *where,
                    struct err *e)
{
	if (!c->width)
		*(const char **)field = arena_strdup(a, text);
	else if (strlen(text) < c->width)
		memcpy(field, text, strlen(text) + 1);
	else
		return err_set(e, "%s: \"%s\" has %zu bytes, %zu at most", where, c->name, strlen(text), c->width - 1);
	return 0;
}

static int set_method(enum energy_method *m, const char *text)
{
	for (*m = ENERGY_NONE; *m <= ENERGY_ESTIMATED; (*m)++)
		if (text && !strcmp(energy_method_name(*m), text))
			return 0;
	*m = ENERGY_NONE;
	return -1;
}

static int column_set(const struct column *c, struct entry *x, const json_t *v, struct arena *a, const char *where,
                      struct err *e)
{
	void *field = (char *)x + c->offset;

	if (!v || json_is_null(v))
		return 0;
	switch (c->type) {
	case COLUMN_INT:
		if (!json_is_integer(v) || json_integer_value(v) < 0)
			return wrong(where, c->name, "a count", e);
		*(int64_t *)field = json_integer_value(v);
		return 0;
	case COLUMN_REAL:
		if (!json_is_number(v))
			return wrong(where, c->name, "a number", e);
		*(double *)field = json_number_value(v);
		return 0;
	case COLUMN_METHOD:
		return set_method(field, json_string_value(v)) < 0 ?
		               wrong(where, c->name, "none, measured, mixed or estimated", e) :
		               0;
	case COLUMN_TEXT:
		return json_is_string(v) ? set_text(c, field, json_string_value(v), a, where, e) :
		                           wrong(where, c->name, "a text", e);
	case COLUMN_JSON: {
		char *line = jsonx_line(v);
		*(const char **)field = arena_strdup(a, line);
		mem_free(line);
		return 0;
	}
	}
	BUG("column %s has no type", c->name);
}

static const char *get_text(const json_t *j, const char *key, struct arena *a)
{
	const char *text = json_string_value(json_object_get(j, key));
	return text ? arena_strdup(a, text) : NULL;
}

static int64_t get_count(const json_t *j, const char *key)
{
	const json_t *v = json_object_get(j, key);
	return json_is_integer(v) && json_integer_value(v) >= 0 ? json_integer_value(v) : -1;
}

static int use_set(struct artefact_use *u, const json_t *j, struct arena *a, const char *where, struct err *e)
{
	*u = (struct artefact_use){
		.role = get_text(j, "role", a), .out = json_is_true(json_object_get(j, "out")),
		.artefact = {
			.hash = get_text(j, "hash", a),
			.kind = get_text(j, "kind", a),
			.name = get_text(j, "name", a),
			.path = get_text(j, "path", a),
			.source = get_text(j, "source", a),
			.bytes = get_count(j, "bytes"),
			.parameters = get_count(j, "parameters"),
			.tokens = get_count(j, "tokens"),
		},
	};
	if (!u->role || !u->artefact.hash || !u->artefact.kind)
		return err_set(e, "%s: an artefact without role, hash or kind", where);
	for (const char *const *k = artefact_kinds; *k; k++)
		if (!strcmp(*k, u->artefact.kind))
			return 0;
	return err_set(e, "%s: an artefact of kind \"%s\": model, adapter, data, index or labels was wanted", where,
	               u->artefact.kind);
}

int entry_from_json(struct entry *x, const json_t *j, struct arena *a, const char *where, struct err *e)
{
	const json_t *uses = json_object_get(j, "artefacts"), *served = json_object_get(j, "served");

	entry_init(x);
	if (!json_is_object(j))
		return err_set(e, "%s: a run's object was wanted", where);
	for (const struct column *c = entry_columns; c->name; c++)
		if (column_set(c, x, json_object_get(j, c->name), a, where, e) < 0)
			return -1;
	if (!x->id || strlen(x->id) != 36 || !x->command || !x->status)
		return err_set(e, "%s: this is no run of a ledger: id, command or status is missing", where);
	x->n_uses = json_array_size(uses);
	x->uses = arena_array(a, x->n_uses, sizeof(*x->uses));
	for (size_t i = 0; i < x->n_uses; i++)
		if (use_set(&x->uses[i], json_array_get(uses, i), a, where, e) < 0)
			return -1;
	x->n_served = json_array_size(served);
	x->served = arena_array(a, x->n_served, sizeof(*x->served));
	for (size_t i = 0; i < x->n_served; i++)
		if (served_from_json(&x->served[i], json_array_get(served, i), a, where, e) < 0)
			return -1;
	return 0;
}
