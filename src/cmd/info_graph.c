/* info_graph: a plan as lines. The step is recorded and planned as a trainer does it (train/dry_pass.h) and not run;
 * what a line says of a node is what op/plan_view.h sees in the plan, so recomputed and fused nodes are there as they
 * will be.
 *
 *     op  phase  layer  makes  keeps  outputs ← inputs
 *
 * A line ends at 160 columns: where there is no room for all, names get short, then shapes go, then the inputs that are
 * no weights, and say how many they are. A JSON object a node has everything. */
#include "cmd/info_graph.h"

#include <stdio.h>
#include <string.h>

#include "base/human.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "op/plan_view.h"
#include "train/dry_pass.h"
#include "train/method.h"
#include "train/model_memory.h"

enum { WIDTH = 160 };
static const char nothing[] = "nothing";

bool info_graph_rows(size_t i, struct opt_row *out)
{
	if (i == 0) {
		*out = (struct opt_row){ .name = nothing, .summary = "the forward alone", .standard = true };
		return true;
	}
	if (!method_rows(i - 1, out))
		return false;
	out->standard = false;
	return true;
}

/* --- recording and planning --- */

struct graph_page {
	struct app *app;
	const struct info_graph *options;
	struct adapter adapter;        /* what is trained: one of these two */
	struct overlay all;
	bool has_adapter;
	const struct overlay *overlay; /* it, or `given` */
	const struct overlay *given;   /* an adapter that was loaded, or NULL */
	struct model_pass net;
	struct plan_view view;
	int op_width;
};

static int make_overlay(struct graph_page *g, const struct model *m, struct err *e)
{
	const char *method = g->options->train;
	const struct adapter_type *type;

	if (!strcmp(method, nothing)) {
		g->overlay = g->given;
		return 0;
	}
	type = method_adapter(method);
	if (!type) {
		g->overlay = &g->all;
		return method_full_overlay(&g->all, m,
		                           opt_row_options(info_graph_rows, g->options->methods, method), e);
	}
	if (adapter_new(&g->adapter, type, m, opt_row_options(info_graph_rows, g->options->methods, method), 0, e) < 0)
		return -1;
	g->has_adapter = true;
	g->overlay = &g->adapter.overlay;
	return 0;
}

static size_t state_bytes(const struct graph_page *g)
{
	return g->overlay && g->overlay != g->given ? dry_pass_state_bytes(g->app->device, &g->overlay->params) : 0;
}

/* What is left for the arena under --memory: the rest of the process does not depend on what is recomputed. */
static int plan_it(struct graph_page *g, const struct model *m, struct err *e)
{
	struct pass *p = &g->net.pass;
	struct plan_options o = { .recompute_all = g->options->gradient_checkpointing,
		                  .in_8bit = !strcmp(g->options->activations, "8bit") };
	size_t limit = g->options->memory, fixed;
	struct model_memory now;
	char a[32], b[32];

	if (pass_plan(p, &o, e) < 0)
		return -1;
	if (!limit)
		return 0;
	model_memory_now(&now, m);
	fixed = now.program + (g->all.params.n_items == m->n_weights ? 0 : now.weights) + state_bytes(g);
	fixed += pass_bytes(p) - p->plan.arena_bytes;
	o.limit_bytes = limit > fixed ? limit - fixed : 1;
	if (pass_plan(p, &o, e) < 0)
		return err_prefix(e, "%s are not activations, of --memory %s", human_bytes(fixed, a),
		                  human_bytes(limit, b));
	return 0;
}

static int page_begin(struct graph_page *g, struct model *m, struct err *e)
{
	bool training = strcmp(g->options->train, nothing) != 0;

	if (make_overlay(g, m, e) < 0 ||
	    dry_pass_begin(&g->net, g->app->device, m, g->overlay, training, (int32_t)g->options->micro_batch_tokens,
	                   e) < 0 ||
	    plan_it(g, m, e) < 0)
		return -1;
	plan_view_init(&g->view, &g->net.pass.plan);
	for (uint32_t i = 0; i < g->view.plan->n_nodes; i++)
		g->op_width = MAX(g->op_width, (int)strlen(g->view.plan->nodes[i].op->name));
	return 0;
}

static void page_end(struct graph_page *g)
{
	plan_view_release(&g->view);
	model_pass_release(&g->net);
	if (g->has_adapter)
		adapter_release(&g->adapter);
	overlay_release(&g->all);
}

/* --- a line --- */

/* How much of what a node reads is said: less where there is no room for more. */
enum detail { WHOLE, SHORT_NAMES, WITHOUT_SHAPES, WEIGHTS_ALONE };

/* The name of what is bound, without the way to its layer and ".weight"; without its sublayer too where names are to be
 * short. A gradient's begins with d_. */
static void put_name(struct buf *out, const struct tensor *x, int layer, enum detail detail)
{
	const char *name = x->name, *at, *dot;
	char mark[16];

	snprintf(mark, sizeof(mark), ".%d.", layer);
	at = layer >= 0 ? strstr(name, mark) : NULL;
	if (at) {
		buf_adds(out, x->role == ROLE_GRAD ? "d_" : "");
		at += strlen(mark);
		dot = strchr(at, '.');
		at = detail >= SHORT_NAMES && dot && strncmp(dot, ".weight", 7) != 0 ? dot + 1 : at;
		name = at;
	}
	at = strstr(name, ".weight");
	buf_add(out, name, at ? (size_t)(at - name) : strlen(name));
	buf_adds(out, at ? at + strlen(".weight") : "");
}

static void put_shape(struct buf *out, const struct tensor *x)
{
	static const char *const letter[] = { [AXIS_ROWS] = "N", [AXIS_TARGETS] = "R", [AXIS_LABELS] = "M" };

	for (int i = 0; i < x->n_dims; i++) {
		buf_adds(out, i ? "," : "[");
		if (i == 0 && x->axis != AXIS_FIXED)
			buf_adds(out, letter[x->axis]);
		else
			buf_addf(out, "%zu", x->dim[i]);
	}
	buf_adds(out, "]");
}

static void put_tensor(struct buf *out, const struct graph_page *g, const struct node *n, uint32_t id, bool shape,
                       enum detail detail)
{
	const struct tensor *x = &g->view.plan->tensors[id];
	char name[VIEW_NAME];

	if (x->role == ROLE_ACT)
		buf_adds(out, plan_tensor_name(g->view.plan, id, name));
	else
		put_name(out, x, n->layer, detail);
	if (x->dtype != DTYPE_F32 && detail <= SHORT_NAMES)
		buf_addf(out, ":%s", dtypes[x->dtype].name);
	if (shape)
		put_shape(out, x);
	if (g->view.again[id])
		buf_adds(out, n->phase == PHASE_FORWARD && shape ? "~" : "");
}

static void put_inputs(struct buf *out, const struct graph_page *g, const struct node *n, enum detail detail)
{
	const struct tensor *tensors = g->view.plan->tensors;
	int left = 0;

	for (int j = 0; j < NODE_INPUTS; j++) {
		const struct tensor *x = &tensors[n->in[j]];
		if (!n->in[j])
			continue;
		if (detail == WEIGHTS_ALONE && j && x->role != ROLE_WEIGHT) {
			left++;
			continue;
		}
		buf_adds(out, j ? ", " : " ");
		put_tensor(out, g, n, n->in[j], detail <= SHORT_NAMES && x->role != ROLE_ACT, detail);
	}
	if (left)
		buf_addf(out, " and %d more", left);
}

static void put_data(struct buf *out, const struct graph_page *g, const struct node *n, enum detail detail)
{
	const char *between = "";

	for (int j = 0; j < NODE_OUTPUTS; j++)
		if (n->out[j] && g->view.plan->tensors[n->out[j]].role != ROLE_SCRATCH) {
			buf_adds(out, between);
			put_tensor(out, g, n, n->out[j], true, detail);
			between = ", ";
		}
	buf_adds(out, " ←");
	put_inputs(out, g, n, detail);
}

static void put_head(struct buf *out, const struct graph_page *g, uint32_t i)
{
	const struct node *n = &g->view.plan->nodes[i];
	struct node_view v = plan_view_node(&g->view, i);
	char layer[16] = "-", makes[32] = "-", keeps[32] = "-";

	if (n->layer >= 0)
		snprintf(layer, sizeof(layer), "%d", n->layer);
	if (v.makes)
		human_bytes(v.makes, makes);
	if (v.keeps)
		human_bytes(v.keeps, keeps);
	else if (v.again)
		snprintf(keeps, sizeof(keeps), "again");
	buf_addf(out, "%-*s  %-9s  %5s  %8s  %8s  ", g->op_width, n->op->name, phase_name(n->phase), layer, makes,
	         keeps);
	if (n->joined)
		buf_addf(out, "%d fused: ", n->joined + 1);
	if (v.in_place)
		buf_adds(out, "in place: ");
}

/* With as much as there is room for. */
static void show_node(const struct graph_page *g, uint32_t i)
{
	const struct plan *p = g->view.plan;
	struct buf line = BUF_INIT;

	for (enum detail d = WHOLE; d <= WEIGHTS_ALONE; d++) {
		buf_clear(&line);
		put_head(&line, g, i);
		put_data(&line, g, &p->nodes[i], d);
		if (utf8_count(buf_str(&line), line.len) <= WIDTH)
			break;
	}
	if (utf8_count(buf_str(&line), line.len) <= WIDTH)
		app_print("%s\n", buf_str(&line));
	else
		app_print("%.*s…\n", (int)utf8_complete(buf_str(&line), WIDTH - 1), buf_str(&line));
	buf_release(&line);
}

/* --- as JSON --- */

static json_t *tensor_json(const struct plan *p, uint32_t id)
{
	const struct tensor *x = &p->tensors[id];
	static const char *const counts[] = {
		[AXIS_FIXED] = NULL, [AXIS_ROWS] = "tokens", [AXIS_TARGETS] = "targets", [AXIS_LABELS] = "labels"
	};
	json_t *j, *shape = json_array();
	char name[VIEW_NAME];

	for (int i = 0; i < x->n_dims; i++)
		json_array_append_new(shape, json_integer((json_int_t)x->dim[i]));
	j = json_pack("{s:s, s:s, s:s, s:o, s:I}", "name", plan_tensor_name(p, id, name), "role", role_name(x->role),
	              "dtype", dtypes[x->dtype].name, "shape", shape, "bytes", (json_int_t)tensor_bytes(x));
	if (counts[x->axis])
		json_object_set_new(j, "rows", json_string(counts[x->axis]));
	return j;
}

static json_t *list_json(const struct plan *p, const uint32_t *ids, int n)
{
	json_t *list = json_array();

	for (int i = 0; i < n; i++)
		if (ids[i])
			json_array_append_new(list, tensor_json(p, ids[i]));
	return list;
}

static void put_node(const struct graph_page *g, uint32_t i)
{
	const struct plan *p = g->view.plan;
	const struct node *n = &p->nodes[i];
	struct node_view v = plan_view_node(&g->view, i);
	json_t *j = json_pack("{s:s, s:s}", "op", n->op->name, "phase", phase_name(n->phase));

	json_object_set_new(j, "layer", n->layer < 0 ? json_null() : json_integer(n->layer));
	json_object_set_new(j, "bytes", json_integer((json_int_t)v.makes));
	json_object_set_new(j, "kept_bytes", json_integer((json_int_t)v.keeps));
	json_object_set_new(j, "made_again", json_boolean(v.again));
	json_object_set_new(j, "in_place", json_boolean(v.in_place));
	json_object_set_new(j, "fused", json_integer(n->joined + 1));
	json_object_set_new(j, "out", list_json(p, n->out, NODE_OUTPUTS));
	json_object_set_new(j, "in", list_json(p, n->in, NODE_INPUTS));
	app_json(j);
	json_decref(j);
}

/* --- totals --- */

struct totals {
	int nodes[3], fused, of;       /* by phase; nodes that stand for several, for how many */
	double flops[3];
	size_t kept, again;            /* bytes that wait for backward; that are made again in it */
	size_t state;
};

static struct totals add_up(const struct graph_page *g)
{
	const struct plan *p = g->view.plan;
	struct tape view = { .tensors = p->tensors, .n_tensors = p->n_tensors, .cap = p->cap };
	double rows = p->cap.rows;
	struct live live = { .rows = rows, .targets = p->cap.targets, .labels = p->cap.labels };
	struct totals t = { 0 };

	live_see(&live, 1, rows);
	for (uint32_t i = 0; i < p->n_nodes; i++) {
		const struct node *n = &p->nodes[i];
		struct node_view v = plan_view_node(&g->view, i);
		double flops = 0, bytes;
		n->op->cost(&view, n, &live, &flops, &bytes);
		t.nodes[n->phase]++;
		t.flops[n->phase] += flops;
		t.kept += v.keeps;
		t.again += n->phase == PHASE_RECOMPUTE ? v.makes : 0;
		t.fused += n->joined > 0;
		t.of += n->joined > 0 ? n->joined + 1 : 0;
	}
	t.state = state_bytes(g);
	return t;
}

static void show_totals(const struct graph_page *g, const struct totals *t)
{
	const struct plan *p = g->view.plan;
	char a[32], b[32], c[32];

	app_print("\nTotals\n");
	app_print("  %-14s %u: %d forward, %d recompute, %d backward; %d of them are fused from %d\n", "nodes",
	          p->n_nodes, t->nodes[0], t->nodes[1], t->nodes[2], t->fused, t->of);
	app_print("  %-14s %s forward, %s recompute, %s backward\n", "operations", human_count(t->flops[0], a),
	          human_count(t->flops[1], b), human_count(t->flops[2], c));
	app_print("  %-14s %s kept for backward, %s made again there\n", "activations", human_bytes(t->kept, a),
	          human_bytes(t->again, b));
	app_print("  %-14s %s for all that is made, scratch of %s a thread\n", "arena", human_bytes(p->arena_bytes, a),
	          human_bytes(p->scratch_bytes, b));
	if (t->state)
		app_print("  %-14s %s numbers; with gradient and optimizer %s\n", "trained",
		          human_count((double)params_count(&g->overlay->params), a), human_bytes(t->state, b));
}

static void put_totals(const struct graph_page *g, const struct totals *t, const struct model *m)
{
	const struct plan *p = g->view.plan;
	json_t *j = json_pack("{s:s, s:s, s:I}", "architecture", m->config.arch->name, "train", g->options->train,
	                      "micro_batch_tokens", (json_int_t)p->cap.rows);

	json_object_set_new(j, "nodes", json_integer(p->n_nodes));
	for (int i = 0; i < 3; i++) {
		char *nodes = mem_printf("%s_nodes", phase_name(i)), *flops = mem_printf("%s_flops", phase_name(i));
		json_object_set_new(j, nodes, json_integer(t->nodes[i]));
		json_object_set_new(j, flops, json_real(t->flops[i]));
		mem_free(nodes);
		mem_free(flops);
	}
	json_object_set_new(j, "fused_nodes", json_integer(t->fused));
	json_object_set_new(j, "kept_bytes", json_integer((json_int_t)t->kept));
	json_object_set_new(j, "made_again_bytes", json_integer((json_int_t)t->again));
	json_object_set_new(j, "arena_bytes", json_integer((json_int_t)p->arena_bytes));
	json_object_set_new(j, "scratch_bytes_per_thread", json_integer((json_int_t)p->scratch_bytes));
	json_object_set_new(j, "state_bytes", json_integer((json_int_t)t->state));
	app_summary(g->app, j);
}

/* --- the whole --- */

int info_graph_compute(struct app *app, struct model *m, const struct info_graph *o, struct err *e)
{
	return model_compute(app, m, o->compute, strcmp(o->train, nothing) ? PREPARE_TRAIN : PREPARE_SCORE, e);
}

int info_graph(struct app *app, struct model *m, const struct overlay *given, const struct info_graph *o,
               struct err *e)
{
	struct graph_page g = { .app = app, .options = o, .given = given };

	if (given && strcmp(o->train, nothing) != 0)
		return err_set(e, "--train %s trains something new: --adapter is for a forward", o->train);
	int status = page_begin(&g, m, e);

	if (status == 0) {
		struct totals t = add_up(&g);
		const struct batch_cap *cap = &g.view.plan->cap;
		if (!app->json)
			app_print("%-*s  %-9s  %5s  %8s  %8s  what ← from what; N = %d tokens, R = %d that predict, "
			          "M = %d predicted\n", g.op_width, "op", "phase", "layer", "makes", "keeps", cap->rows,
			          cap->targets, cap->labels);
		for (uint32_t i = 0; i < g.view.plan->n_nodes; i++)
			app->json ? put_node(&g, i) : show_node(&g, i);
		if (!app->json)
			show_totals(&g, &t);
		put_totals(&g, &t, m);
	}
	page_end(&g);
	return status;
}
