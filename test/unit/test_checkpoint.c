/* Checkpoints' folders: what may be replaced, and that a process killed at any call of the system leaves one that can
 * be read under the name, whether or not the file system exchanges names. */
#include "../test.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../faults.h"
#include "base/io.h"
#include "base/mem.h"
#include "train/checkpoint.h"

struct run {
	struct params params;
	struct optim optim;
	struct pool *pool;
	struct checkpoint c;
};

static int beside(void *ctx, const char *dir, struct err *e)
{
	char *path = io_join(dir, ctx);
	int status = io_write(path, "beside", 6, e);
	mem_free(path);
	return status;
}

/* One whose every weight is `value`. */
static void run_begin(struct run *r, float value)
{
	static const struct optim_settings settings = { .learning_rate = 0.01 };
	struct err e = ERR_INIT;

	*r = (struct run){ .pool = pool_new(1) };
	params_add(&r->params, "w", 1, (size_t[]){ 100 }, -1);
	params_seal(&r->params, &e);
	for (size_t i = 0; i < r->params.n; i++)
		r->params.w[i] = value;
	optim_init(&r->optim, optimizer_find("adamw"), &settings, &r->params, kernels_get(NULL, &e), r->pool);
	optim_start(&r->optim, &e);
	r->c = (struct checkpoint){ .params = &r->params, .optim = &r->optim, .facts = json_object() };
}

static void run_end(struct run *r)
{
	json_decref(r->c.facts);
	optim_release(&r->optim);
	params_release(&r->params);
	pool_free(r->pool);
}

static void put(const char *dir, const char *name)
{
	struct err e = ERR_INIT;
	char *path = io_join(dir, name);

	io_mkdirs(dir, &e);
	io_write(path, "mine", 4, &e);
	mem_free(path);
}

static bool is_mine(const char *dir, const char *name)
{
	struct err e = ERR_INIT;
	struct buf b = BUF_INIT;
	char *path = io_join(dir, name);
	bool mine = io_read(&b, path, &e) == 0 && !strcmp(buf_str(&b), "mine");

	buf_release(&b);
	mem_free(path);
	return mine;
}

/* The first weight of what lies there; −1: nothing that can be read. */
static float value_at(const char *dir)
{
	struct err e = ERR_INIT;
	struct run r;
	float value = -1;

	run_begin(&r, 0);
	json_decref(r.c.facts);
	r.c.facts = NULL;
	json_t *facts = checkpoint_facts(dir, &e);
	if (facts && checkpoint_read(dir, &r.c, &e) == 0)
		value = r.params.w[0];
	json_decref(facts);
	run_end(&r);
	return value;
}

/* Nothing but the place itself lies in its parent. */
static bool is_alone(const char *dir)
{
	struct err e = ERR_INIT;
	char **names, *parent = io_parent(dir);
	size_t n = 0;

	if (io_list(parent, &names, &n, &e) == 0)
		io_list_free(names, n);
	mem_free(parent);
	return n == 1;
}

static void refused(struct test *t, const char *dir, const struct checkpoint *c, const char *name)
{
	struct err e = ERR_INIT;

	CHECK_MSG(t, checkpoint_write(dir, c, &e) < 0 && strstr(e.msg, "not replaced") && strstr(e.msg, dir), "%s",
	          e.msg);
	CHECK_MSG(t, is_mine(dir, name), "%s/%s is gone", dir, name);
}

static void places(struct test *t)
{
	struct run one, two;
	struct err e = ERR_INIT;
	char *dir = io_join(test_tmp(), "places/a"), *slash = mem_printf("%s//", dir), *old = mem_printf("%s.old", dir),
	     *tmp = mem_printf("%s.tmp", dir), *link = io_join(test_tmp(), "link");

	run_begin(&one, 1);
	run_begin(&two, 2);
	test_case(t, "nobody's folder is replaced, nothing beside it is touched");
	put(old, "f");
	put(tmp, "f");
	put(dir, "thesis.txt");
	refused(t, dir, &one.c, "thesis.txt");
	put(dir, "trainer_state.json"); /* another trainer's */
	refused(t, dir, &one.c, "thesis.txt");
	CHECK(t, io_remove_tree(dir, &e) == 0 && io_write(dir, "mine", 4, &e) == 0);
	CHECK(t, checkpoint_write(dir, &one.c, &e) < 0 && strstr(e.msg, "is a file") && !io_is_dir(dir));
	CHECK(t, io_remove_tree(dir, &e) == 0 && io_mkdirs(dir, &e) == 0);

	test_case(t, "an empty folder, and a checkpoint by any spelling of its name, are");
	CHECK_MSG(t, checkpoint_write(dir, &one.c, &e) == 0 && value_at(dir) == 1, "%s", e.msg);
	CHECK_MSG(t, checkpoint_write(slash, &two.c, &e) == 0 && value_at(dir) == 2, "%s", e.msg);
	CHECK(t, symlink(dir, link) == 0);
	CHECK_MSG(t, checkpoint_write(link, &one.c, &e) == 0 && value_at(dir) == 1, "%s", e.msg);
	struct stat st;
	CHECK(t, lstat(link, &st) == 0 && S_ISLNK(st.st_mode));
	CHECK(t, is_mine(old, "f") && is_mine(tmp, "f"));

	test_case(t, "a checkpoint with more beside it than it wrote is not");
	two.c.beside = beside;
	two.c.ctx = (void *)"adapter";
	CHECK_MSG(t, checkpoint_write(dir, &two.c, &e) == 0 && checkpoint_write(dir, &one.c, &e) == 0, "%s", e.msg);
	put(dir, "notes.txt");
	refused(t, dir, &two.c, "notes.txt");
	CHECK(t, value_at(dir) == 1);
	run_end(&one);
	run_end(&two);
	mem_free(dir);
	mem_free(slash);
	mem_free(old);
	mem_free(tmp);
	mem_free(link);
}

/* A child that dies after so many calls; whether it lived. */
static bool write_in_child(const char *dir, const struct checkpoint *c, long calls)
{
	struct err e = ERR_INIT;
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		faults_die_after(calls);
		_exit(checkpoint_write(dir, c, &e) == 0 ? 0 : 1);
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) != FAULTS_DIED;
}

static void killed(struct test *t, bool exchange)
{
	struct run one, two;
	struct err e = ERR_INIT;
	char *dir = mem_printf("%s/killed-%d/c", test_tmp(), exchange);
	bool lived = false;
	long n;

	test_case(t, "killed at any moment%s: the old one or the new one is there",
	          exchange ? "" : " without exchange");
	run_begin(&one, 1);
	run_begin(&two, 2);
	faults_exchange(exchange);
	for (n = 0; !lived && n < 1000; n++) {
		CHECK_MSG(t, checkpoint_write(dir, &one.c, &e) == 0, "after %ld: %s", n, e.msg);
		CHECK_MSG(t, is_alone(dir) && value_at(dir) == 1, "after %ld: leftovers", n);
		lived = write_in_child(dir, &two.c, n);
		float value = value_at(dir);
		CHECK_MSG(t, value == 2 || (value == 1 && !lived), "killed after %ld calls: %g", n, (double)value);
	}
	CHECK_MSG(t, lived && n > 10 && value_at(dir) == 2, "%ld", n);
	faults_exchange(true);
	run_end(&one);
	run_end(&two);
	mem_free(dir);
}

void test_checkpoint(struct test *t);

void test_checkpoint(struct test *t)
{
	places(t);
	killed(t, true);
	killed(t, false);
}
