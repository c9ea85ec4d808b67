create table effects (name text not null, key text not null, times integer not null, primary key (name, key));
create table seals (key text not null);
create table counted (name text not null, key text not null, event text not null, primary key (name, event));
