// errno numbers of Linux that the data plane tells apart (errno(3), asm-generic/errno.h). Here and
// not from Node.js, because the data plane imports nothing from outside the project.

export const EIO = 5;
export const ENXIO = 6;
export const EBADF = 9;
export const EAGAIN = 11;
export const ENODEV = 19;
export const EINVAL = 22;
/** A TUN device that was removed. */
export const EBADFD = 77;
export const EMSGSIZE = 90;
export const EADDRINUSE = 98;
export const ENOBUFS = 105;
