//! Worker pools of Wakeful: starting, feeding, supervising and ending the processes that run user code.
