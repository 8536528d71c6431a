//! The one place of renewd that touches dns-update: its methods are generic over every provider, and would otherwise
//! be compiled into their caller (the build of renewd took a quarter of an hour with them).
