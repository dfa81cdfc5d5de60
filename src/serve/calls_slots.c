/* slots: the sequences in which answers are made and beginnings kept, and these as files; as llama-server has it. */
#include "serve/openai_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/mem.h"

enum action { LIST, SAVE, RESTORE, ERASE };

struct slots {
	struct openai *s;
	struct http_later *later;
	enum action action;
	int id, adapter;               /* adapter: as openai_model has it */
	bool fail_on_no_slot;
	char *name, *path;             /* of the file */
};

static void slots_free(struct slots *x)
{
	mem_free(x->name);
	mem_free(x->path);
	mem_free(x);
}

static void list(struct slots *x, struct batcher *b, struct http_reply *r)
{
	json_t *all = json_array();
	int busy = 0;

	for (int i = 0; i < batcher_slots(b); i++) {
		struct batcher_slot one = batcher_slot(b, i);
		json_array_append_new(
			all, json_pack("{s:i, s:i, s:b, s:I, s:b, s:I, s:I, s:I, s:i}", "id", i, "n_ctx",
		                       x->s->o.context, "is_processing", one.ticket >= 0, "id_task",
		                       (json_int_t)one.ticket, "reads_prompt", one.reads, "n_prompt",
		                       (json_int_t)one.prompt, "n_decoded", (json_int_t)one.made, "n_past",
		                       (json_int_t)one.tokens, "adapter", one.adapter));
		busy += one.ticket >= 0;
	}
	if (!x->fail_on_no_slot || busy < x->s->o.parallel) {
		openai_reply(r, all);
		return;
	}
	json_decref(all);
	openai_busy(x->s, r, "No slot is idle");
}

static json_t *done_json(const struct slots *x, struct batcher *b, double seconds)
{
	static const char *const tokens[] = { [SAVE] = "n_saved", [RESTORE] = "n_restored", [ERASE] = "n_erased" };
	json_t *j = json_pack("{s:i}", "id_slot", x->id);
	struct err e = ERR_INIT;
	size_t bytes = 0;

	if (x->action == ERASE)
		return j;
	json_object_set_new(j, "filename", json_string(x->name));
	json_object_set_new(j, tokens[x->action], json_integer((json_int_t)batcher_slot(b, x->id).tokens));
	if (io_size(x->path, &bytes, &e) == 0)
		json_object_set_new(j, x->action == SAVE ? "n_written" : "n_read", json_integer((json_int_t)bytes));
	json_object_set_new(j, "timings",
	                    json_pack("{s:f}", x->action == SAVE ? "save_ms" : "restore_ms", seconds * 1e3));
	return j;
}

static int restore(struct slots *x, struct batcher *b, struct err *e)
{
	bool holds = x->s->o.adapters && x->adapter >= 0;
	int number = x->adapter, status = holds ? adapters_hold(x->s->o.adapters, x->adapter, &number, e) : 0;

	if (status)
		return status < 0 ? -1 : err_set(e, "all adapters that have room here are being asked");
	status = batcher_restore(b, x->id, number, x->path, e);
	if (holds)
		adapters_leave(x->s->o.adapters, number);
	return status;
}

/* The engine's thread. */
static void run(void *ctx)
{
	struct slots *x = ctx;
	struct batcher *b = engine_batcher(x->s->o.engine);
	struct http_reply r = { 0 };
	struct err e = ERR_INIT;
	double began = clock_seconds();
	int status = 0;

	if (!b)
		status = err_set(&e, "This model answers nothing: it has no slots");
	else if (x->action == LIST)
		list(x, b, &r);
	else
		status = x->action == SAVE    ? batcher_save(b, x->id, x->path, &e) :
		         x->action == RESTORE ? restore(x, b, &e) :
		                                batcher_erase(b, x->id, &e);
	if (status < 0)
		openai_error(&r, 400, "invalid_slot", NULL, "%s", e.msg);
	else if (x->action != LIST)
		openai_reply(&r, done_json(x, b, clock_seconds() - began));
	openai_later(x->s, x->later, NULL, &r, false);
	slots_free(x);
}

static void get(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	const char *fail = http_query(q, "fail_on_no_slot");
	struct slots *x = mem_alloc(sizeof(*x));
	(void)sent, (void)r;

	*x = (struct slots){ .s = s, .action = LIST, .later = http_later(q) };
	x->fail_on_no_slot = fail && strcmp(fail, "0");
	engine_do(s->o.engine, run, x);
}

/* A file's name, nothing of a path. */
static bool is_file_name(const char *name)
{
	return name && *name && *name != '.' && strlen(name) <= 200 && !strchr(name, '/');
}

/* False, and a refusal. */
static bool read_action(struct slots *x, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	static const char *const names[] = { [SAVE] = "save", [RESTORE] = "restore", [ERASE] = "erase" };
	const char *file = json_string_value(json_object_get(sent, "filename")), *action = http_query(q, "action");
	const char *model;
	char id[16], *end;

	openai_part(q, 1, id, sizeof(id));
	x->id = (int)strtol(id, &end, 10);
	for (x->action = SAVE; x->action <= ERASE && (!action || strcmp(action, names[x->action])); x->action++)
		;
	if (*end || !*id)
		openai_error(r, 400, "invalid_value", "id_slot", "'%s' is no slot's number", id);
	else if (x->action > ERASE)
		openai_error(r, 400, "invalid_value", "action", "'action' is save, restore or erase");
	else if (x->action != ERASE && !x->s->o.slot_save_path)
		openai_error(r, 501, "not_supported", NULL, "Slots are saved where --slot-save-path says a folder");
	else if (x->action != ERASE && !is_file_name(file))
		openai_error(r, 400, "invalid_value", "filename", "'filename' is no name of a file");
	else if (x->action == RESTORE)
		x->adapter = openai_model(x->s, sent, &model, r);
	if (r->body.len)
		return false;
	x->name = file ? mem_strdup(file) : NULL;
	x->path = x->action == ERASE ? NULL : io_join(x->s->o.slot_save_path, file);
	return true;
}

static void post(struct openai *s, const struct http_request *q, const json_t *sent, struct http_reply *r)
{
	struct slots *x = mem_alloc(sizeof(*x));

	*x = (struct slots){ .s = s };
	if (!read_action(x, q, sent, r)) {
		slots_free(x);
		return;
	}
	x->later = http_later(q);
	engine_do(s->o.engine, run, x);
}

const struct calls calls_slots = {
	.rows = (const struct call[]){ { "GET", (const char *const[]){ "/slots", NULL }, get },
	                               { "POST", (const char *const[]){ "/slots/*", NULL }, post },
	                               { 0 } },
};
