/* What a process asks its file system to change: counted, killed at, failed, delayed, or written down.

   Loaded before the C library (LD_PRELOAD), so that every write of Python's and SQLite's passes through here. A
   process turns it on by `fault_arm` or `fault_trace`, through ctypes; until then it only looks at a flag. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { COUNT, KILL, FAIL, DELAY };

static atomic_int on, seen, aim, action, error_code, forever, delay_ms, log_fd = -1;
static __thread int paused;
static char root[PATH_MAX / 2];
static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

/* Kinds of calls, as bits: which of them count. */
enum { WRITE = 1, SYNC = 2, NAME = 4, MAKE = 8, SIZE = 16 };
static atomic_int kinds = 31;

#define REAL(name) ({ static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name); real; })

void fault_arm(const char *folder, int at, int what, int code, int always, int milliseconds, int which) {
    snprintf(root, sizeof root, "%s", folder);
    aim = at; action = what; error_code = code; forever = always; delay_ms = milliseconds; kinds = which;
    seen = 0; on = 1;
}
int fault_count(void) { return seen; }
void fault_disarm(void) { on = 0; }
void fault_pause(int yes) { paused = yes; }
void fault_trace(const char *folder, const char *path) {
    snprintf(root, sizeof root, "%s", folder);
    log_fd = REAL(open64)(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    action = COUNT; seen = 0; kinds = 31; on = 1;
}

/* What SQLite shares between processes in -shm is made anew from the log: nothing there must last. */
static int below(const char *path) { return !strncmp(path, root, strlen(root)) && !strstr(path, "-shm"); }

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, PATH_MAX - 1);
    if (size <= 0) return 0;
    path[size] = 0;
    return below(path);
}

static void absolute(int at, const char *path, char *full) {
    char folder[PATH_MAX / 2] = "";
    if (path[0] == '/') { snprintf(full, 2 * PATH_MAX, "%s", path); return; }
    if (at == AT_FDCWD) { if (!getcwd(folder, sizeof folder)) folder[0] = 0; }
    else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", at);
        ssize_t size = readlink(link, folder, sizeof folder - 1);
        folder[size > 0 ? size : 0] = 0;
    }
    snprintf(full, 2 * PATH_MAX, "%s/%s", folder, path);
}

/* Return whether the call is to fail; errno is set. */
static int strike(int kind) {
    if (!on || paused || !(kinds & kind)) return 0;
    int number = ++seen;
    if (action == COUNT || !(forever ? number >= aim : number == aim)) return 0;
    if (action == KILL) { raise(SIGKILL); }
    if (action == DELAY) {
        struct timespec wait = {delay_ms / 1000, (delay_ms % 1000) * 1000000L};
        nanosleep(&wait, NULL);
        return 0;
    }
    errno = error_code;
    return 1;
}

/* One line of the trace: call, numbers, paths (without spaces), and the data that follows. */
static void note(const char *call, const char *one, const char *two, long at, long size, const void *data) {
    if (log_fd < 0 || paused) return;
    char line[5 * PATH_MAX];
    int length = snprintf(line, sizeof line, "%s\t%s\t%s\t%ld\t%ld\n", call, one, two, at, size);
    if (REAL(write)(log_fd, line, length) < 0) abort();
    if (data && REAL(write)(log_fd, data, size) < 0) abort();
}

void fault_mark(const char *text) { note("mark", text, "", 0, 0, NULL); }

#define ENTER int traced = log_fd >= 0; if (traced) pthread_mutex_lock(&order)
#define LEAVE if (traced) pthread_mutex_unlock(&order)

ssize_t write(int fd, const void *data, size_t size) {
    char path[PATH_MAX];
    if (!on || paused || !path_of(fd, path)) return REAL(write)(fd, data, size);
    if (strike(WRITE)) return -1;
    ENTER;
    off_t end = fcntl(fd, F_GETFL) & O_APPEND ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
    ssize_t done = REAL(write)(fd, data, size);
    if (done > 0) note("write", path, "", end, done, data);
    LEAVE;
    return done;
}
static ssize_t put(int fd, const void *data, size_t size, off_t at) {
    char path[PATH_MAX];
    int ours = on && !paused && path_of(fd, path);
    if (ours && strike(WRITE)) return -1;
    ENTER;
    ssize_t done = REAL(pwrite64)(fd, data, size, at);
    if (ours && done > 0) note("write", path, "", at, done, data);
    LEAVE;
    return done;
}
ssize_t pwrite64(int fd, const void *data, size_t size, off_t at) { return put(fd, data, size, at); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at) { return put(fd, data, size, at); }

#define SYNCS(name) \
int name(int fd) { \
    char path[PATH_MAX]; \
    int ours = on && !paused && path_of(fd, path); \
    if (ours && strike(SYNC)) return -1; \
    ENTER; \
    int done = REAL(name)(fd); \
    if (ours && !done) note("sync", path, "", 0, 0, NULL); \
    LEAVE; \
    return done; \
}
SYNCS(fsync)
SYNCS(fdatasync)

#define SIZES(name) \
int name(int fd, off_t size) { \
    char path[PATH_MAX]; \
    int ours = on && !paused && path_of(fd, path); \
    if (ours && strike(SIZE)) return -1; \
    ENTER; \
    int done = REAL(name)(fd, size); \
    if (ours && !done) note("size", path, "", size, 0, NULL); \
    LEAVE; \
    return done; \
}
SIZES(ftruncate)
SIZES(ftruncate64)

static int moved(const char *call, int kind, int at, const char *one, int to, const char *two, int (*make)(void *), void *given) {
    char first[2 * PATH_MAX], second[2 * PATH_MAX] = "";
    int ours = on && !paused;
    if (ours) {
        absolute(at, one, first);
        if (two) absolute(to, two, second);
        ours = below(first) || below(second);
    }
    if (ours && strike(kind)) return -1;
    ENTER;
    int done = make(given);
    if (ours && done >= 0) note(call, first, second, 0, 0, NULL);
    LEAVE;
    return done;
}

struct pair { int at, to, flags; const char *one, *two; mode_t mode; };
#define GIVEN struct pair *g = given
static int real_rename(void *given) { GIVEN; return REAL(renameat)(g->at, g->one, g->to, g->two); }
static int real_link(void *given) { GIVEN; return REAL(linkat)(g->at, g->one, g->to, g->two, g->flags); }
static int real_unlink(void *given) { GIVEN; return REAL(unlinkat)(g->at, g->one, g->flags); }
static int real_mkdir(void *given) { GIVEN; return REAL(mkdirat)(g->at, g->one, g->mode); }

int renameat(int at, const char *one, int to, const char *two) {
    struct pair g = {at, to, 0, one, two, 0};
    return moved("rename", NAME, at, one, to, two, real_rename, &g);
}
int rename(const char *one, const char *two) { return renameat(AT_FDCWD, one, AT_FDCWD, two); }
int linkat(int at, const char *one, int to, const char *two, int flags) {
    struct pair g = {at, to, flags, one, two, 0};
    return moved("link", NAME, at, one, to, two, real_link, &g);
}
int link(const char *one, const char *two) { return linkat(AT_FDCWD, one, AT_FDCWD, two, 0); }
int unlinkat(int at, const char *path, int flags) {
    struct pair g = {at, 0, flags, path, NULL, 0};
    return moved("unlink", NAME, at, path, 0, NULL, real_unlink, &g);
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int mkdirat(int at, const char *path, mode_t mode) {
    struct pair g = {at, 0, 0, path, NULL, mode};
    return moved("mkdir", MAKE, at, path, 0, NULL, real_mkdir, &g);
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

static int opened(int at, const char *path, int flags, mode_t mode) {
    char full[2 * PATH_MAX];
    struct stat status;
    int makes = on && !paused && (flags & O_CREAT) && (flags & O_TMPFILE) != O_TMPFILE;
    if (makes) {
        absolute(at, path, full);
        makes = below(full) && (fstatat(at, path, &status, 0) || (flags & O_TRUNC));
    }
    if (makes && strike(MAKE)) return -1;
    ENTER;
    int fd = REAL(openat64)(at, path, flags, mode);
    if (makes && fd >= 0) note("make", full, flags & O_TRUNC ? "new" : "", 0, 0, NULL);
    LEAVE;
    return fd;
}
#define MODE mode_t mode = 0; if (flags & (O_CREAT | O_TMPFILE)) { va_list more; va_start(more, flags); mode = va_arg(more, mode_t); va_end(more); }
int open64(const char *path, int flags, ...) { MODE; return opened(AT_FDCWD, path, flags, mode); }
int open(const char *path, int flags, ...) { MODE; return opened(AT_FDCWD, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { MODE; return opened(at, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE; return opened(at, path, flags, mode); }

/* The time of day, set by so many seconds; what counts from the start of the machine goes on as ever. */
static atomic_long clock_seconds;
void fault_clock(long seconds) { clock_seconds = seconds; }
int clock_gettime(clockid_t id, struct timespec *now) {
    int done = REAL(clock_gettime)(id, now);
    if (!done && id == CLOCK_REALTIME) now->tv_sec += clock_seconds;
    return done;
}
