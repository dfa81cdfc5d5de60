/* openai_readout: documents that the engine reads in parts, some between two steps of answers, the rest after the
 * next, and what of them is charged and told. */
#include "serve/openai_parts.h"

#include "base/clock.h"
#include "base/mem.h"

struct readout *readout_new(struct openai *s, const struct readout_kind *kind, struct model *m, const char *model,
                            size_t n)
{
	struct readout *x = mem_alloc(sizeof(*x));

	*x = (struct readout){
		.s = s, .kind = kind, .m = m, .model = mem_strdup(model), .n = n, .mem = ARENA_INIT };
	x->docs = mem_array(n, sizeof(*x->docs));
	x->list = mem_array(n, sizeof(struct document *));
	for (size_t i = 0; i < n; i++)
		x->list[i] = &x->docs[i];
	return x;
}

void readout_free(struct readout *x)
{
	charge_release(x->s, &x->charge);
	if (x->reader)
		x->kind->free(x->reader);
	mem_free(x->out);
	arena_release(&x->mem);
	mem_free(x->docs);
	mem_free(x->list);
	mem_free(x->model);
	json_decref(x->own);
	embed_settings_release(&x->how);
	mem_free(x);
}

size_t readout_part(const struct document *docs, size_t first, size_t n, size_t *tokens)
{
	size_t end = first;

	*tokens = 0;
	while (end < n && (end == first || *tokens + (size_t)docs[end].n <= PART_TOKENS))
		*tokens += (size_t)docs[end++].n;
	return end;
}

static int begin(struct readout *x, struct err *e)
{
	if (x->kind->begin(x, e) < 0)
		return -1;
	x->out = mem_array(x->n * x->width, sizeof(*x->out));
	return 0;
}

static int part(struct readout *x, struct err *e)
{
	struct meter_span span;
	size_t tokens, end = readout_part(x->docs, x->done, x->n, &tokens);

	part_open(x->s, &span);
	int status = x->kind->run(x, x->list + x->done, end - x->done, x->out + x->done * x->width, e);
	part_read(x->s, &span, &x->gas);
	x->read += tokens;
	x->done = end;
	return status;
}

/* What was computed of it is charged, however it ended. */
static void told(struct readout *x, const struct err *e)
{
	struct http_reply r = { 0 };

	x->gas.tokens_in = (int64_t)x->read;
	tokens_charge(x->s, &x->charge, x->charged, x->read, &x->gas);
	if (*e->msg)
		openai_error(&r, 500, "server_error", NULL, "%s", e->msg);
	else if (x->done < x->n)
		openai_busy(x->s, &r, "The server ends");
	else
		openai_reply(&r, x->reply(x));
	openai_later(x->s, x->later, NULL, &r, x->plain);
}

/* The engine's thread. */
static void go_on(void *ctx)
{
	struct readout *x = ctx;
	struct err e = ERR_INIT;
	bool ends = x->s->cut || http_later_left(x->later);

	if (!ends && (x->reader || begin(x, &e) == 0))
		part(x, &e);
	if (!*e.msg && !ends && x->done < x->n) {
		engine_do(x->s->o.engine, go_on, x);
		return;
	}
	told(x, &e);
	readout_free(x);
}

void readout_start(struct readout *x, const struct http_request *q, json_t *(*reply)(struct readout *x))
{
	struct http_reply r = { 0 };

	gas_none(&x->gas);
	x->reply = reply;
	x->came = clock_seconds();
	x->later = http_later(q);
	if (!tokens_hold(x->s, &x->charge, x->tokens, &r)) {
		openai_count_refused(x->s);
		openai_later(x->s, x->later, NULL, &r, x->plain);
		readout_free(x);
		return;
	}
	engine_do(x->s->o.engine, go_on, x);
}
