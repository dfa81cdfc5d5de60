/* informed: see informed.h. Again after EVERY labels, later after a tenth more than there were: these change less. */
#include "serve/informed.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "feedback/heads.h"
#include "feedback/said.h"

enum { EVERY = 10 };

struct informed {
	struct feedback *f;
	size_t labels;                  /* when it was counted last; SIZE_MAX: never */
	pthread_mutex_t lock;           /* of what follows */
	double *of;                     /* [n] or NULL */
	size_t n;
};

int informed_new(struct informed **out, const char *path, struct err *e)
{
	struct informed *i = mem_alloc(sizeof(*i));

	if (feedback_open(&i->f, path, false, e) < 0) {
		mem_free(i);
		return -1;
	}
	i->labels = SIZE_MAX;
	pthread_mutex_init(&i->lock, NULL);
	*out = i;
	return 0;
}

void informed_free(struct informed *i)
{
	if (!i)
		return;
	feedback_close(i->f);
	pthread_mutex_destroy(&i->lock);
	mem_free(i->of);
	mem_free(i);
}

/* Of all that the file holds; n 0 where it has no states. */
static int count(struct feedback *f, struct arena *mem, double **of, size_t *n, struct err *e)
{
	struct comparison *pairs;
	struct heads heads;
	const char *model;
	struct said s;

	*n = 0;
	if (said_load(&s, f, mem, e) < 0 || feedback_states(f, mem, s.items, s.n_items, &s.states, &model, e) < 0)
		return -1;
	if (!s.states.width)
		return 0;
	size_t compared = comparisons_of(&s, mem, &pairs);
	heads_fit(&heads, &s, pairs, compared, HEADS, 0, HEADS_SEED, mem);
	*n = s.n_items;
	*of = mem_array(*n, sizeof(**of));
	heads_information(&heads, &s, false, *of);
	return 0;
}

int informed_look(struct informed *i, struct err *e)
{
	struct arena mem = ARENA_INIT;
	size_t items, labels, raters, n;
	double *of = NULL;

	if (feedback_count(i->f, &items, &labels, &raters, e) < 0)
		return -1;
	if (i->labels != SIZE_MAX && labels < i->labels + MAX(EVERY, i->labels / 10))
		return 0;
	int status = count(i->f, &mem, &of, &n, e);
	arena_release(&mem);
	if (status < 0)
		return -1;
	i->labels = labels;
	pthread_mutex_lock(&i->lock);
	mem_free(i->of);
	i->of = of;
	i->n = n;
	pthread_mutex_unlock(&i->lock);
	return 0;
}

const double *informed_of(struct informed *i, size_t n, struct arena *mem)
{
	double *of = NULL;

	pthread_mutex_lock(&i->lock);
	if (i->of) {
		of = arena_array(mem, n, sizeof(*of));
		for (size_t k = 0; k < n; k++)
			of[k] = k < i->n ? i->of[k] : NAN;
	}
	pthread_mutex_unlock(&i->lock);
	return of;
}
