/* test_target_modules: which modules a config means, against what PEFT 0.21 answers for the same config and names. */
#include "../test.h"

#include <string.h>

#include "adapt/target_modules.h"
#include "base/io.h"
#include "base/mem.h"

/* The tiny Llama's modules in the order of the strings below: the linears layer by layer, then embedding, norm, the
 * layers' norms. */
enum { LINEARS = 7, LAYERS = 3, MODULES = LAYERS * LINEARS + 2 + 2 * LAYERS };

static const char *module_name(struct arena *mem, int i)
{
	static const char *const linears[] = { "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
		                               "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj",
		                               "mlp.down_proj" };
	int rest = i - LAYERS * LINEARS;
	if (rest < 0)
		return arena_printf(mem, "model.layers.%d.%s", i / LINEARS, linears[i % LINEARS]);
	if (rest < 2)
		return rest ? "model.norm" : "model.embed_tokens";
	return arena_printf(mem, "model.layers.%d.%s_layernorm", (rest - 2) / 2, rest % 2 ? "post_attention" : "input");
}

static const struct { const char *config, *hits;
} hit_cases[] = {
	{ "{\"target_modules\": [\"q_proj\"]}", "x......x......x......"
	                                        "........" },
	{ "{\"target_modules\": [\"proj\"]}", "....................."
	                                      "........" },
	{ "{\"target_modules\": [\"q_proj\", \"mlp.up_proj\"]}", "x....x.x....x.x....x."
	                                                         "........" },
	{ "{\"target_modules\": [\"model.layers.1.mlp.up_proj\"]}", "............x........"
	                                                            "........" },
	{ "{\"target_modules\": [\"1.mlp.up_proj\"]}", "............x........"
	                                               "........" },
	{ "{\"target_modules\": [\"layers\"]}", "....................."
	                                        "........" },
	{ "{\"target_modules\": \"q_proj\"}", "....................."
	                                      "........" },
	{ "{\"target_modules\": \".*q_proj\"}", "x......x......x......"
	                                        "........" },
	{ "{\"target_modules\": \".*\\\\.(q|v)_proj|model\\\\.norm\"}", "x.x....x.x....x.x...."
	                                                                ".x......" },
	{ "{\"target_modules\": \".*\\\\.layers\\\\.[01]\\\\.mlp\\\\.(?P<which>up|down)_proj\"}",
	  ".....xx.....xx......."
	  "........" },
	{ "{\"target_modules\": \"model.layers.0.*_proj\"}", "xxxxxxx.............."
	                                                     "........" },
	{ "{\"target_modules\": [\"q_proj\", \"k_proj\"], \"exclude_modules\": [\"k_proj\"]}", "x......x......x......"
	                                                                                       "........" },
	{ "{\"target_modules\": [\"q_proj\", \"k_proj\"], \"exclude_modules\": \".*\\\\.0\\\\..*\"}",
	  ".......xx.....xx....."
	  "........" },
	{ "{\"target_modules\": [\"q_proj\"], \"exclude_modules\": \"q_proj\"}", "x......x......x......"
	                                                                         "........" },
	{ "{\"target_modules\": [\"q_proj\"], \"exclude_modules\": [\"_proj\"]}", "x......x......x......"
	                                                                          "........" },
	{ "{\"target_modules\": [\"q_proj\", \"up_proj\"], \"layers_to_transform\": [0, 2]}", "x....x........x....x."
	                                                                                      "........" },
	{ "{\"target_modules\": [\"q_proj\"], \"layers_to_transform\": 1}", ".......x............."
	                                                                    "........" },
	{ "{\"target_modules\": [\"q_proj\"], \"layers_to_transform\": []}", "x......x......x......"
	                                                                     "........" },
	{ "{\"target_modules\": [\"q_proj\"], \"layers_to_transform\": [1], \"layers_pattern\": \"layers\"}",
	  ".......x............."
	  "........" },
	{ "{\"target_modules\": [\"q_proj\"], \"layers_to_transform\": [1], \"layers_pattern\": [\"h\", \"layers\"]}",
	  ".......x............."
	  "........" },
	{ "{\"target_modules\": [\"q_proj\"], \"layers_to_transform\": [1], \"layers_pattern\": \"h\"}",
	  "....................."
	  "........" },
	{ "{\"target_modules\": [\"q_proj\"], \"layers_to_transform\": [1], \"layers_pattern\": []}",
	  ".......x............."
	  "........" },
	{ "{\"target_modules\": [\"model.layers.0.self_attn.q_proj\", \"k_proj\"], \"layers_to_transform\": [1]}",
	  "x.......x............"
	  "........" },
	{ "{\"target_modules\": \".*q_proj\", \"layers_to_transform\": [1]}", "x......x......x......"
	                                                                      "........" },
	{ "{\"target_modules\": [\"norm\"], \"layers_to_transform\": [0]}", "....................."
	                                                                    "........" },
	{ "{\"target_modules\": [\"q_proj\", \"up_proj\"], \"modules_to_save\": [\"mlp\"]}", "x......x......x......"
	                                                                                     "........" },
	{ "{\"target_modules\": [\"q_proj\", \"up_proj\"], \"modules_to_save\": [\"q_proj\"]}", ".....x......x......x."
	                                                                                        "........" },
	{ "{\"target_modules\": [\"q_proj\", \"up_proj\"], \"modules_to_save\": [\"layers.1\"]}",
	  "x....x........x....x."
	  "........" },
	{ "{\"target_modules\": [\"norm\", \"input_layernorm\"]}", "....................."
	                                                           ".xx.x.x." },
};

static void check_hits(struct test *t, const struct model *m, const char *config, const char *wanted)
{
	struct arena mem = ARENA_INIT;
	struct err e = ERR_INIT;
	char found[MODULES + 1] = "";
	json_t *j = json_loads(config, 0, NULL);
	for (int i = 0; i < MODULES; i++) {
		const char *module = module_name(&mem, i);
		int w = model_weight_by_name(m, arena_printf(&mem, "%s.weight", module));
		if (w < 0)
			BUG("no %s", module);
		int hit = target_hit(j, module, &m->weights[w], &e);
		CHECK_MSG(t, hit >= 0, "%s: %s", config, e.msg);
		found[i] = hit > 0 ? 'x' : '.';
	}
	CHECK_MSG(t, !strcmp(found, wanted), "%s: %s, PEFT %s", config, found, wanted);
	json_decref(j);
	arena_release(&mem);
}

static void test_hits(struct test *t, const struct model *m)
{
	test_case(t, "modules by list, expression, layer");
	for (size_t i = 0; i < ARRAY_LEN(hit_cases); i++)
		check_hits(t, m, hit_cases[i].config, hit_cases[i].hits);
	test_case(t, "all-linear: no embedding, no head, no norm");
	check_hits(t, m, "{\"target_modules\": \"all-linear\"}", "xxxxxxxxxxxxxxxxxxxxx........");
	check_hits(t, m, "{\"target_modules\": \"All-Linear\", \"exclude_modules\": [\"mlp.up_proj\"]}",
	           "xxxxx.xxxxxx.xxxxxx.x........");
}

static void test_expressions(struct test *t, const struct model *m)
{
	static const char *const wrong[] = { "(", "[", "a{2,1}", "(?P<n>a)(?P<n>b)", "\\" };
	const struct weight *w = &m->weights[model_weight_by_name(m, "model.norm.weight")];
	char *longer = mem_alloc(9000);
	test_case(t, "expressions that cannot be read, or take forever");
	memset(longer, 'a', 8999);
	for (size_t i = 0; i <= ARRAY_LEN(wrong); i++) {
		struct err e = ERR_INIT;
		json_t *j = json_pack("{s:s}", "target_modules", i < ARRAY_LEN(wrong) ? wrong[i] : longer);
		CHECK_MSG(t, target_hit(j, "model.norm", w, &e) == -1 && strstr(e.msg, "expression"), "%zu: '%s'", i,
		          e.msg);
		json_decref(j);
	}
	struct err e = ERR_INIT;
	json_t *j = json_pack("{s:s}", "target_modules", "((a|aa)+)+$b"),
	       *exclude = json_pack("{s:[s], s:s}", "target_modules", "norm", "exclude_modules", "*");
	CHECK_MSG(t, target_hit(j, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac", w, &e) <= 0,
	          "%s", e.msg);
	CHECK_MSG(t, target_hit(exclude, "model.norm", w, &e) == -1, "%s", e.msg);
	json_decref(j);
	json_decref(exclude);
	mem_free(longer);
}

/* for model.layers.0.self_attn.q_proj; 0: none */
static const struct { const char *patterns; int value; } pattern_cases[] = {
		{ "{\"q_proj\": 1}", 1 },
		{ "{\"proj\": 1}", 0 },
		{ "{\"self_attn.q_proj\": 1}", 1 },
		{ "{\"^q_proj\": 1}", 0 },
		{ "{\"^model.layers.0.self_attn.q_proj\": 1}", 1 },
		{ "{\"layers.0.*\": 1, \"q_proj\": 2}", 1 },
		{ "{\"q_proj\": 2, \"layers.0.*\": 1}", 2 },
		{ "{\"layers.1.*\": 1, \"q_proj\": 2}", 2 },
		{ "{\"k_proj|q_proj\": 3}", 3 },
		{ "{\"layers\\\\.(0|1)\\\\.self_attn\\\\.[qk]_proj\": 4}", 4 },
};

static void test_patterns(struct test *t)
{
	struct err e = ERR_INIT;
	const json_t *value;
	test_case(t, "rank_pattern and alpha_pattern: the first that matches the end of the name");
	for (size_t i = 0; i < ARRAY_LEN(pattern_cases); i++) {
		json_t *j = json_loads(pattern_cases[i].patterns, 0, NULL);
		int status = target_pattern(j, "model.layers.0.self_attn.q_proj", &value, &e);
		CHECK_MSG(t, status == 0 && (value ? (int)json_integer_value(value) : 0) == pattern_cases[i].value,
		          "%s", pattern_cases[i].patterns);
		json_decref(j);
	}
	CHECK(t, target_pattern(NULL, "a", &value, &e) == 0 && !value);
	json_t *wrong = json_pack("{s:i}", "(", 1);
	CHECK(t, target_pattern(wrong, "a", &value, &e) == -1);
	json_decref(wrong);
}

/* PEFT: key.endswith(entry), and everything below a module that is saved. */
static void test_saves(struct test *t)
{
	test_case(t, "modules_to_save: ends of names, and what they hold");
	CHECK(t, target_saves("lm_head", "lm_head") && target_saves("norm", "model.norm") &&
	                 target_saves("norm", "model.layers.0.input_layernorm"));
	CHECK(t, target_saves("mlp", "model.layers.0.mlp.up_proj") &&
	                 target_saves("layers.1", "model.layers.1.mlp.up_proj") && target_saves("model", "model.norm"));
	CHECK(t, !target_saves("layers.1", "model.layers.10.mlp.up_proj") &&
	                 !target_saves("up", "model.layers.1.mlp.up_proj"));
	CHECK(t, !target_saves("", "a") && !target_saves(NULL, "a") && !target_saves("model.norm.x", "model.norm") &&
	                 !target_saves("xlm_head", "lm_head"));
}

static void test_lists(struct test *t, const struct model *m)
{
	struct arena mem = ARENA_INIT;
	test_case(t, "lists of names");
	json_t *split = target_split(" b,a b\t,,c"), *wanted = json_pack("[s, s, s]", "a", "b", "c"),
	       *all = target_all_linear(m, true);
	CHECK(t, json_equal(split, wanted) && json_array_size(all) == LINEARS);
	CHECK(t, !strcmp(target_names(&mem, m), "down_proj, gate_proj, k_proj, o_proj, q_proj, up_proj, v_proj"));
	json_decref(split);
	json_decref(wanted);
	json_decref(all);
	json_t *config = json_pack("{s:[s, s, s]}", "target_modules", "q_proj", "mlp.up_proj", "x_proj");
	const char *unused = target_unused(config, "target_modules", m);
	CHECK(t, unused && !strcmp(unused, "x_proj"));
	json_array_remove(json_object_get(config, "target_modules"), 2);
	CHECK(t, !target_unused(config, "target_modules", m));
	CHECK(t, !target_in_full(config, m));
	json_array_append_new(json_object_get(config, "target_modules"), json_string("model.layers.1.mlp.up_proj"));
	CHECK(t, target_in_full(config, m) && !target_unused(config, "target_modules", m));
	json_decref(config);
	json_t *words = target_words("q_proj,layers.0.mlp"), *expression = target_words(".*\\.[01]\\..*q_proj");
	CHECK(t, json_array_size(words) == 2 && json_is_string(expression));
	json_decref(words);
	json_decref(expression);
	arena_release(&mem);
}

void test_target_modules(struct test *t);
void test_target_modules(struct test *t)
{
	struct model m;
	struct err e = ERR_INIT;
	char *path = io_join(test_golden(), "llama");
	int status = model_open(&m, path, &e);
	mem_free(path);
	test_patterns(t);
	test_saves(t);
	CHECK_MSG(t, status == 0, "%s", e.msg);
	if (status < 0)
		return;
	test_hits(t, &m);
	test_expressions(t, &m);
	test_lists(t, &m);
	model_close(&m);
}
