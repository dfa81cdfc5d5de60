/* generate_context: an instruction and examples before prompts. A prompt becomes a row with them, which is asked as any
 * row is; answers to texts end where the next example would begin. What a run took is dealt out to the tokens that were
 * read and made by how long the plan found each to take. */
#include <math.h>
#include <string.h>

#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/generate/generate_parts.h"
#include "cmd/metering.h"

/* An instruction and --system are one turn. */
static void join_system(struct in_context *c, struct prompt_options *how)
{
	char *instruction = c->instructions[0];

	if (!how->system || !instruction)
		return;
	c->instructions[0] = mem_printf("%s\n\n%s", how->system, instruction);
	mem_free(instruction);
	how->system = NULL;
}

int generate_context_open(struct generate_context *g, struct app *app, const struct generate_command *o,
                          struct loaded *l, struct prompt_options *how, struct err *e)
{
	*g = (struct generate_context){ .added_tokens = NAN };
	if (!in_context_wanted(&o->context))
		return 0;
	if (in_context_open(&g->context, &o->context, app, l, !how->raw, true, e) < 0)
		return -1;
	join_system(&g->context, how);
	return in_context_make(&g->context, 0, 0, NULL, &g->fewshot, e);
}

void generate_context_close(struct generate_context *g)
{
	fewshot_free(g->fewshot);
	in_context_close(&g->context);
}

int generate_context_text(struct generate_context *g, const struct text_codec *codec, const char *text, size_t n,
                          const struct prompt_options *how, struct tokens *ids, struct err *e)
{
	struct tokens alone = { 0 };
	int status = prompt_encode_after(g->fewshot, codec, text, n, how, ids, e);

	if (status == 0)
		status = prompt_encode_text(codec, text, n, how, &alone, e);
	if (status == 0)
		g->added_tokens = (double)ids->n - (double)alone.n;
	tokens_release(&alone);
	return status;
}

void generate_context_stop(struct generate_command *o, bool raw)
{
	const char *delimiter = o->context.delimiter ? o->context.delimiter : "\n\n";

	if (!raw || !(o->context.num || o->context.prompt) || !*delimiter)
		return;
	size_t n = o->sampling.stop.n;
	o->stops = mem_array(n + 1, sizeof(*o->stops));
	if (n)
		memcpy(o->stops, o->sampling.stop.items, n * sizeof(*o->stops));
	o->stops[n] = delimiter;
}

void generate_context_begin(struct generate_context *g) { metering_open_span(&g->span); }

void generate_context_tell(struct generate_context *g, const struct app *app, double read_tokens, double new_tokens,
                           json_t *summary)
{
	struct gas gas;

	if (!g->fewshot)
		return;
	metering_read_span(&g->span, &gas);
	double seconds = read_tokens * g->read_seconds + new_tokens * g->new_seconds;
	double joules = seconds > 0 ? gas.energy.joules / seconds * g->read_seconds * g->added_tokens : NAN;
	json_object_set_new(summary, "num_fewshot", json_integer((json_int_t)fewshot_num(g->fewshot)));
	json_object_set_new(summary, "added_tokens", jsonx_number(g->added_tokens));
	json_object_set_new(summary, "added_joules", jsonx_number(joules));
	if (!app->json && isnan(joules))
		log_say("what stands before a prompt adds %.0f tokens to it", g->added_tokens);
	else if (!app->json)
		log_say("what stands before a prompt adds %.0f tokens to it, %.3g J where they are read anew",
		        g->added_tokens, joules);
}
