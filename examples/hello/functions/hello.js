'use strict';

exports.hello = (req, res) => {
  res.send('Hello, world!\n');
};
