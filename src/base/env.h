/* env: the only place that reads the environment. */
#ifndef BASE_ENV_H
#define BASE_ENV_H

const char *env_get(const char *name); /* NULL when unset or empty */

#endif
